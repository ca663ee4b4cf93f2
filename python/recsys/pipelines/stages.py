"""The stages after ``ingest``: validate, build and publish, each on what the one before left."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path

from msgspec import Struct

from recsys._native import Catalog
from recsys.artifacts.atomic_files import TEMPORARY
from recsys.artifacts.publish import publish_release
from recsys.artifacts.registry import Moving, Registry, unrecorded
from recsys.contracts.manifest import CATALOG, Manifest
from recsys.contracts.pipeline import PipelineSettings
from recsys.pipelines.build.catalog import build_catalog
from recsys.pipelines.build.request import BeginStage, BuildInput, unseen
from recsys.pipelines.gates import GateResult, check_artifacts, check_interactions, refuse_failures
from recsys.pipelines.ingest import canonical_files
from recsys.pipelines.input.files import find_input_files
from recsys.pipelines.input.mapping import ColumnMapping
from recsys.pipelines.kinds import ARTIFACT_ENDING, NATIVE, BuildKind, Engine, Resources, kind_of
from recsys.pipelines.workspace import (
    BuildCheckpoint,
    Checkpoints,
    PipelineError,
    Workspace,
    file_digest,
    source_of,
)

_RECIPE = 2
_MAP_CATALOG = "map a column of the item files with --catalog-map OURS=THEIRS"


Entering = Callable[[Sequence[GateResult]], Moving]
"""Returns what the move of a pointer goes through, of a release that the gates said this of."""


def _unrecorded(_gates: Sequence[GateResult], /) -> Moving:
    return unrecorded


class Built(Struct, frozen=True):
    """One artifact of the workspace; ``is_new`` is false when it was up to date."""

    kind: str
    path: str
    sha256: str
    bytes: int
    is_new: bool


class Published(Struct, frozen=True):
    """A release, whether it is another than before, and the gates on its artifacts."""

    manifest: Manifest
    is_new: bool
    gates: list[GateResult]


def prepare_catalog(
    workspace: Workspace,
    paths: Sequence[Path],
    *,
    mapping: ColumnMapping | None = None,
    begin: BeginStage = unseen,
) -> Built:
    """Build the workspace's catalog from item files, or take over a catalog artifact, unless it is current.

    ``mapping`` says how the columns of item files are called. Without paths the catalog that was built
    last stays; raises :class:`PipelineError` when there is none.
    """
    out = workspace.artifact(CATALOG)
    if not paths:
        if not out.is_file():
            raise PipelineError(f"there is no catalog in {workspace.folder}: give one with --catalog")
        return Built(CATALOG, str(out), file_digest(out), out.stat().st_size, is_new=False)
    if len(paths) == 1 and paths[0].suffix == ARTIFACT_ENDING:
        Catalog.open(str(paths[0]))
        source = source_of(_RECIPE, file_digest(paths[0]))
        return _once(workspace, CATALOG, source, lambda made: _copy(paths[0], made))
    given = BuildInput(find_input_files(paths), mapping, begin=begin, remedy=_MAP_CATALOG)
    digests = [file_digest(file.path) for file in given.files]
    source = source_of(_RECIPE, digests, *(() if mapping is None else (mapping,)))
    return _once(workspace, CATALOG, source, lambda made: build_catalog(given, made).sha256)


def validate(workspace: Workspace, first: date, last: date, settings: PipelineSettings) -> list[GateResult]:
    """Run the gates on the interactions of a range of days; tells, and raises nothing for one that fails."""
    catalog = Catalog.open(prepare_catalog(workspace, ()).path)
    return check_interactions(workspace, first, last, catalog, settings.gates)


def build(
    workspace: Workspace,
    kind: str,
    first: date,
    last: date,
    settings: PipelineSettings,
    *,
    resources: Resources | None = None,
    begin: BeginStage = unseen,
    engine: Engine = NATIVE,
) -> Built:
    """Build a kind from the canonical days of a range, unless it is current already.

    Raises :class:`UsageError` for a kind that is not known, :class:`PipelineError` without interactions
    or without an artifact that the kind needs.
    """
    how = kind_of(engine, kind)
    files = list(canonical_files(workspace, first, last))
    if not files:
        raise PipelineError(f"nothing is ingested for {first} to {last} in {workspace.folder}")
    catalog = prepare_catalog(workspace, ())
    days = {str(day): known.sha256 for day, known in workspace.days(first, last).items()}
    taken = resources or Resources()
    parts = [_RECIPE, kind, days, catalog.sha256, how.settings(settings), settings.event_weights]
    parts += _beside(workspace, kind, how, taken)
    source = source_of(*parts, *([] if engine is NATIVE else [engine.name]))
    given = BuildInput(find_input_files(files), ColumnMapping(), begin=begin)

    def write(out: Path) -> str:
        mapped = Catalog.open(catalog.path)
        return how.build(mapped, given, out, settings, taken).sha256

    return _once(workspace, kind, source, write, (first, last))


def _beside(workspace: Workspace, kind: str, how: BuildKind, resources: Resources) -> list[str]:
    """Return digests of what a kind depends on beside the days, the catalog and the settings."""
    digests = []
    for needed in how.needs:
        path = workspace.artifact(needed)
        if not path.is_file():
            raise PipelineError(
                f"{kind} needs {needed}, which is not built yet in {workspace.folder}: "
                f"run the stage build {needed}"
            )
        digests.append(file_digest(path))
    if how.by_user and resources.salt is not None:
        digests.append(hashlib.sha256(resources.salt).hexdigest())
    return digests


def publish(
    workspace: Workspace,
    registry: Registry,
    settings: PipelineSettings,
    *,
    kinds: Sequence[str] | None = None,
    force: bool = False,
    backfill: bool = False,
    has_validated: bool = False,
    entering: Entering = _unrecorded,
) -> Published:
    """Publish the catalog and the signals of the workspace that ``kinds`` (default: the settings) name.

    ``entering`` is given what the gates said here, and returns what the move of the pointer goes through.

    The gates are run on the interactions that the signals were built from, unless the caller
    ``has_validated`` them, and on the size of each artifact. Raises
    :class:`~recsys.pipelines.gates.GateError` when one fails, unless ``force``.
    """
    files = {kind: workspace.artifact(kind) for kind in (CATALOG, *(kinds or settings.kinds))}
    for kind, path in files.items():
        if not path.is_file():
            raise PipelineError(f"{kind} is not built yet in {workspace.folder}: run the stage build {kind}")
    current = registry.current(workspace.tenant, workspace.surface)
    gates = [] if has_validated else _validate_range(workspace, files, settings)
    gates += check_artifacts(files, None if current is None else current.manifest, settings.gates)
    if not force:
        refuse_failures(gates)
    manifest = publish_release(
        registry, workspace.tenant, workspace.surface, files, backfill=backfill, moving=entering(gates)
    )
    is_new = current is None or current.manifest.version != manifest.version
    return Published(manifest, is_new, gates)


def _validate_range(
    workspace: Workspace, files: Mapping[str, Path], settings: PipelineSettings
) -> list[GateResult]:
    """Run the gates on all days that the signals among ``files`` were built from."""
    builds = workspace.checkpoints().builds
    ranges = [
        (known.first, known.last)
        for kind in files
        if (known := builds.get(kind)) is not None and known.first is not None and known.last is not None
    ]
    if not ranges:  # a catalog alone
        return []
    return validate(workspace, min(first for first, _ in ranges), max(last for _, last in ranges), settings)


def _once(
    workspace: Workspace,
    kind: str,
    source: str,
    write: Callable[[Path], str],
    days: tuple[date, date] | tuple[None, None] = (None, None),
) -> Built:
    """Write the artifact of a kind unless that was done from the same source and the file is still that."""
    out = workspace.artifact(kind)
    with workspace.locked():
        known = workspace.checkpoints().builds.get(kind)
        if (
            known is not None
            and known.source == source
            and out.is_file()
            and file_digest(out) == known.sha256
        ):
            return Built(kind, str(out), known.sha256, out.stat().st_size, is_new=False)
        made = out.with_name(f"{TEMPORARY}{out.name}")
        out.parent.mkdir(parents=True, exist_ok=True)
        sha256 = write(made)
        made.replace(out)
        before = workspace.checkpoints()
        builds = before.builds | {kind: BuildCheckpoint(source, sha256, *days)}
        workspace.remember(Checkpoints(before.days, builds))
    return Built(kind, str(out), sha256, out.stat().st_size, is_new=True)


def _copy(path: Path, out: Path) -> str:
    shutil.copyfile(path, out)
    return file_digest(out)
