"""Releases made from rows: which surfaces need one, and making it.

A *recipe* digests all that a release is made of: the sets of rows, the half-lives, and how this module
builds. A surface is due when its recipe is another than that of the release made last, so a load, a config
change and an update of recsys all lead to a release, and nothing else does.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from msgspec import Struct
from msgspec.structs import replace

import recsys
from recsys.artifacts.errors import PublishConflictError
from recsys.artifacts.publish import publish_release
from recsys.artifacts.registry import Registry
from recsys.contracts.config import TenantConfig, parse_config, resolve_ranking
from recsys.contracts.errors import ArtifactError, BuildError
from recsys.control.plane import ControlPlane
from recsys.control.release_moves import entering
from recsys.control.rows import (
    RowRelease,
    RowSet,
    find_row_release,
    list_row_sets,
    put_row_release,
    read_chunks,
)
from recsys.control.store import Reader
from recsys.control.tenants import list_tenants
from recsys.control.versions import current_document, current_revision
from recsys.rows.build import DEFAULT_SEGMENT, DayRows, SurfaceRows, build_surface, tell_left_out
from recsys.rows.columns import from_chunks

RECIPE = 1
"""Counts the changes of what building makes of the same rows."""

LOCK = "row-releases"
MADE = "made from rows"
DEBOUNCE_S = 2.0
MAX_WAIT_S = 30.0
_KEPT_VERSIONS = 100
_LEFT_BEHIND_S = 24 * 3600.0
"""No build takes as long, so a folder of this age belongs to nobody."""


class Due(Struct, frozen=True):
    """A surface whose rows and settings are not what its release was made from."""

    tenant: str
    surface: str
    recipe: str
    first_load: datetime
    last_load: datetime

    def is_quiet(self, now: datetime) -> bool:
        """Whether no load came for two seconds, or the first one that waits has waited for thirty."""
        return (
            now - self.last_load >= timedelta(seconds=DEBOUNCE_S)
            or now - self.first_load >= timedelta(seconds=MAX_WAIT_S)
            or self.last_load > now  # the clock was set back
        )


class Made(Struct, frozen=True):
    """What became of a due surface: the ``version`` that is current now, or why there is none.

    ``left_out`` says what of its rows is in no release.
    """

    tenant: str
    surface: str
    version: str | None
    error: str | None = None
    left_out: list[str] = []


def find_due(
    plane: ControlPlane, tenant_ids: Iterable[str] | None = None, *, failed_too: bool = False
) -> list[Due]:
    """Return the surfaces that need a release, of all tenants or of those given.

    ``failed_too`` counts those whose release could not be made, though nothing has changed since.
    """
    due: list[Due] = []
    with plane.read() as reader:
        for tenant_id in _tenants(reader, tenant_ids):
            for surface, sets in _by_surface(list_row_sets(reader, tenant_id)).items():
                recipe = _recipe(sets, _half_lives(_config(reader, tenant_id), surface, sets))
                release = find_row_release(reader, tenant_id, surface)
                if release is None or release.recipe != recipe or (failed_too and release.error):
                    since = None if release is None else release.made_at
                    loads = [one.loaded_at for one in sets if since is None or one.loaded_at > since]
                    loads = loads or [one.loaded_at for one in sets]
                    due.append(Due(tenant_id, surface, recipe, min(loads), max(loads)))
    return due


def make_releases(
    plane: ControlPlane,
    registry: Registry,
    scratch: Path,
    *,
    tenant_ids: Sequence[str] | None = None,
    actor: str,
    only_quiet: bool = False,
    take_over: bool = False,
) -> list[Made]:
    """Make a release of every surface that is due; ``only_quiet`` leaves those that are being loaded for
    later.

    One process at a time does this; while another does, the answer is empty. A surface whose current
    release was not made from rows is left alone, with an error, unless ``take_over`` is given. What cannot
    be built is remembered with its reason, and not tried again before something changes.
    """
    with plane.try_lock(LOCK) as is_held:
        if not is_held:
            return []
        due = find_due(plane, tenant_ids, failed_too=not only_quiet)
        _remove_leftovers(scratch)
        if only_quiet:
            due = [one for one in due if one.is_quiet(plane.now())]
        return [_make(plane, registry, scratch, one, actor=actor, take_over=take_over) for one in due]


def _remove_leftovers(scratch: Path) -> None:
    """Remove what a process left that was killed while it built, or while it loaded a body."""
    for pattern in ("rows-*", "body-*"):
        for folder in scratch.glob(pattern):
            with suppress(FileNotFoundError):
                if time.time() - folder.stat().st_mtime > _LEFT_BEHIND_S:
                    shutil.rmtree(folder, ignore_errors=True)


def _make(
    plane: ControlPlane, registry: Registry, scratch: Path, due: Due, *, actor: str, take_over: bool
) -> Made:
    rows, recipe, before = _read(plane, due)
    if before is None:
        before = RowRelease(due.surface, "", plane.now())
    versions = before.versions
    current = registry.current(due.tenant, due.surface)
    version = None if current is None else current.manifest.version
    error: str | None = None
    enter = entering(plane, due.tenant, due.surface, actor=actor, action="release.publish", comment=MADE)

    @contextmanager
    def moving(from_version: str | None, to_version: str) -> Iterator[None]:
        # Known as one of ours before it is current: whoever is killed in between finds it so the next time.
        _remember(plane, due.tenant, replace(before, versions=_with(versions, to_version)))
        with enter(from_version, to_version):
            yield

    if version is not None and version not in versions and not take_over:
        error = (
            f"the current release {version[:12]} was not made from rows: it stays; "
            "to replace it, run `recsys signals compile --take-over`"
        )
    else:
        scratch.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix="rows-", dir=scratch) as folder:
            try:
                files = build_surface(rows, Path(folder))
                # What was loaded is what is wanted, also when its last day is an earlier one.
                manifest = publish_release(
                    registry, due.tenant, due.surface, files, backfill=True, moving=moving
                )
            except (BuildError, ArtifactError) as problem:
                error = str(problem)
            except PublishConflictError as problem:
                return Made(due.tenant, due.surface, None, str(problem))
            else:
                version = manifest.version
    if error is None and version is not None:
        versions = _with(versions, version)
    _remember(plane, due.tenant, RowRelease(due.surface, recipe, plane.now(), versions, error))
    return Made(due.tenant, due.surface, None if error else version, error, tell_left_out(rows))


def _with(versions: tuple[str, ...], version: str) -> tuple[str, ...]:
    return (*(one for one in versions if one != version), version)[-_KEPT_VERSIONS:]


def _remember(plane: ControlPlane, tenant: str, release: RowRelease) -> None:
    plane.update(lambda writer: put_row_release(writer, tenant, release))


def _read(plane: ControlPlane, due: Due) -> tuple[SurfaceRows, str, RowRelease | None]:
    """Return the rows of a surface, all of one view, and the recipe that they have there."""
    with plane.read() as reader:
        sets = _by_surface(list_row_sets(reader, due.tenant))[due.surface]
        half_lives = _half_lives(_config(reader, due.tenant), due.surface, sets)
        found = [(one, from_chunks(one.name.kind, read_chunks(reader, due.tenant, one))) for one in sets]
        before = find_row_release(reader, due.tenant, due.surface)
    days: dict[str, list[DayRows]] = {"popularity": [], "cooc": []}
    catalog = None
    for one, rows in found:
        if one.name.kind == "catalog":
            catalog = rows
        elif one.name.day is not None:
            days[one.name.kind].append(DayRows(one.name.day, rows, one.name.segment or DEFAULT_SEGMENT))
    rows_of_surface = SurfaceRows(catalog, days["popularity"], days["cooc"], half_lives)
    return rows_of_surface, _recipe(sets, half_lives), before


def _by_surface(sets: Sequence[RowSet]) -> dict[str, list[RowSet]]:
    """Return the sets that each surface is made of; its own catalog goes before the one for all."""
    common = [one for one in sets if one.name.surface is None]
    surfaces: dict[str, list[RowSet]] = {}
    for one in sets:
        if one.name.surface is not None:
            surfaces.setdefault(one.name.surface, []).append(one)
    for of_surface in surfaces.values():
        if not any(one.name.kind == "catalog" for one in of_surface):
            of_surface.extend(common)
    return surfaces


def _recipe(sets: Sequence[RowSet], half_lives: Mapping[str, float | None]) -> str:
    names = sorted((msgspec.json.encode(one.name).decode(), one.sha256) for one in sets)
    parts = (RECIPE, recsys.__version__, names, sorted(half_lives.items()))
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()


def _half_lives(config: TenantConfig, surface: str, sets: Sequence[RowSet]) -> dict[str, float | None]:
    segments = {one.name.segment for one in sets if one.name.segment is not None} | {DEFAULT_SEGMENT}
    return {segment: resolve_ranking(config, surface, segment).half_life_days for segment in sorted(segments)}


def _config(reader: Reader, tenant_id: str) -> TenantConfig:
    if current_revision(reader, tenant_id, "config") is None:
        return TenantConfig()
    return parse_config(current_document(reader, tenant_id, "config").data)


def _tenants(reader: Reader, tenant_ids: Iterable[str] | None) -> list[str]:
    known = [tenant.tenant_id for tenant in list_tenants(reader)]
    return known if tenant_ids is None else [one for one in known if one in set(tenant_ids)]
