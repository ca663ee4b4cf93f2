"""``recsys pipeline``: from raw interactions to a release, in one run or stage by stage."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import cyclopts
from cyclopts import Parameter
from cyclopts.validators import Number

from recsys.cli.artifact_build import NO_INPUT, InputOptions
from recsys.cli.console import (
    FAILED,
    OK,
    BeginStage,
    JsonFlag,
    print_json,
    print_table,
    print_warning,
    progress,
)
from recsys.cli.pipeline_sources import (
    BUILT_LAST,
    NO_SOURCE,
    CatalogOptions,
    Range,
    SourceOptions,
    open_source,
)
from recsys.cli.releases import IN_DATA_FOLDER, Comment, RegistryOptions, SurfaceOptions, Trail, short

if TYPE_CHECKING:
    from recsys.contracts.pipeline import PipelineSettings
    from recsys.pipelines.gates import GateResult
    from recsys.pipelines.ingest import Ingested
    from recsys.pipelines.kinds import Engine, Resources
    from recsys.pipelines.stages import Built, Published
    from recsys.pipelines.workspace import Workspace

app = cyclopts.App(name="pipeline", help="From raw interactions to a release, in one run or stage by stage.")

Settings = Annotated[
    Path | None,
    Parameter(name="--settings", help="A JSON or TOML file (default: `pipeline` of the tenant's config)."),
]
Force = Annotated[bool, Parameter(negative="", help="Publish though gates fail; this is audited.")]
Backfill = Annotated[bool, Parameter(negative="", help="Publish a release older than the current one.")]
Memory = Annotated[str, Parameter(help="Memory bound of a builder, such as 512M; the rest spills.")]
Threads = Annotated[int, Parameter(help="Threads; 0 takes all cores.", validator=Number(gte=0, lte=1024))]


@Parameter(name="*")
@dataclass(frozen=True)
class EngineOptions:
    """What builds the signals."""

    engine: Annotated[
        Literal["native", "spark"], Parameter(help="`spark` needs the extra spark, and Java.")
    ] = "native"
    master: Annotated[str | None, Parameter(help="Where Spark runs, such as local[2] (the default).")] = None

    @contextmanager
    def open(self) -> Iterator[Engine]:
        """Yield the engine; a Spark session ends with the block."""
        from recsys.contracts.errors import UsageError
        from recsys.pipelines.kinds import NATIVE

        if self.engine == "native":
            if self.master is not None:
                raise UsageError("--master goes with --engine spark")
            yield NATIVE
            return
        try:
            from recsys.spark.engine import spark_engine
            from recsys.spark.session import spark_session
        except ModuleNotFoundError as error:
            raise UsageError(
                f"--engine spark needs the extra `spark`: pip install 'recsys[spark]' ({error})"
            ) from error
        with spark_session(self.master or "local[2]") as session:
            yield spark_engine(session)


_HERE = EngineOptions()


@app.command
def ingest(
    *,
    of: SurfaceOptions,
    days: Range,
    source: SourceOptions = NO_SOURCE,
    reading: InputOptions = NO_INPUT,
    at: RegistryOptions = IN_DATA_FOLDER,
    json: JsonFlag = False,
) -> None:
    """Bring the canonical interactions of a range of days up to date."""
    workspace = _workspace(of, at)
    with progress() as begin, workspace.running():
        report = _ingest(workspace, days, source, reading, begin)
    print_json(report) if json else _print_ingested(report)


@app.command
def validate(
    *,
    of: SurfaceOptions,
    days: Range,
    items: CatalogOptions = BUILT_LAST,
    settings: Settings = None,
    at: RegistryOptions = IN_DATA_FOLDER,
    json: JsonFlag = False,
) -> int:
    """Run the gates on ingested interactions; exit code 1 when one fails."""
    from recsys.pipelines.stages import validate

    workspace = _workspace(of, at)
    with progress() as begin:
        items.prepare(workspace, begin)
    results = validate(workspace, days.from_.date(), days.to.date(), _settings(settings, of, at))
    print_json(results) if json else _print_gates(results)
    return FAILED if any(result.status == "fail" for result in results) else OK


@app.command
def build(
    kind: Annotated[str, Parameter(help="popularity, cooc, … or `catalog`.")],
    /,
    *,
    of: SurfaceOptions,
    days: Range,
    items: CatalogOptions = BUILT_LAST,
    settings: Settings = None,
    memory: Memory = "1G",
    threads: Threads = 0,
    on: EngineOptions = _HERE,
    at: RegistryOptions = IN_DATA_FOLDER,
    json: JsonFlag = False,
) -> None:
    """Build one kind of artifact from ingested interactions."""
    from recsys.contracts.manifest import CATALOG
    from recsys.pipelines.kinds import NATIVE, kind_of
    from recsys.pipelines.stages import build

    if kind != CATALOG:
        kind_of(NATIVE, kind)  # a slip is told before any work; no engine has more kinds
    workspace = _workspace(of, at)
    with progress() as begin, workspace.running():
        built = items.prepare(workspace, begin)
        if kind != CATALOG:
            first, last = days.from_.date(), days.to.date()
            chosen = _settings(settings, of, at)
            resources = _resources(memory, threads, of, at)
            with on.open() as engine:
                built = build(
                    workspace, kind, first, last, chosen, resources=resources, begin=begin, engine=engine
                )
    print_json(built) if json else _print_built([built])


@app.command
def publish(
    *,
    of: SurfaceOptions,
    kinds: Annotated[
        tuple[str, ...],
        Parameter(negative="", help="What to publish beside the catalog (default: the settings)."),
    ] = (),
    settings: Settings = None,
    force: Force = False,
    backfill: Backfill = False,
    comment: Comment = "",
    at: RegistryOptions = IN_DATA_FOLDER,
    json: JsonFlag = False,
) -> None:
    """Publish the artifacts that were built last."""
    from recsys.pipelines.stages import publish

    workspace, chosen = _workspace(of, at), _settings(settings, of, at)
    with workspace.running(), at.trail(of) as trail:
        published = publish(
            workspace,
            at.open(),
            chosen,
            kinds=kinds or None,
            force=force,
            backfill=backfill,
            entering=lambda gates: trail.entering(*_words(gates, comment)),
        )
        _record_force(trail, published, published.gates, comment)
    print_json(published) if json else _print_published(published)


@app.command
def run(
    *,
    of: SurfaceOptions,
    days: Range,
    source: SourceOptions = NO_SOURCE,
    reading: InputOptions = NO_INPUT,
    items: CatalogOptions = BUILT_LAST,
    settings: Settings = None,
    memory: Memory = "1G",
    threads: Threads = 0,
    on: EngineOptions = _HERE,
    force: Force = False,
    backfill: Backfill = False,
    comment: Comment = "",
    at: RegistryOptions = IN_DATA_FOLDER,
    json: JsonFlag = False,
) -> None:
    """Ingest, validate, build every kind of the settings, and publish; what is up to date stays."""
    from recsys.pipelines.gates import refuse_failures
    from recsys.pipelines.kinds import build_order
    from recsys.pipelines.stages import build, publish, validate

    workspace, chosen = _workspace(of, at), _settings(settings, of, at)
    first, last = days.from_.date(), days.to.date()
    with progress() as begin, workspace.running():
        ingested = _ingest(workspace, days, source, reading, begin)
        built = [items.prepare(workspace, begin)]
        gates = validate(workspace, first, last, chosen)
        if not force:
            refuse_failures(gates)
        resources = _resources(memory, threads, of, at)
        with on.open() as engine:
            built += [
                build(workspace, kind, first, last, chosen, resources=resources, begin=begin, engine=engine)
                for kind in build_order(chosen.kinds)
            ]
        with at.trail(of) as trail:
            published = publish(
                workspace,
                at.open(),
                chosen,
                force=force,
                backfill=backfill,
                has_validated=True,
                entering=lambda more: trail.entering(*_words([*gates, *more], comment)),
            )
            gates += published.gates
            _record_force(trail, published, gates, comment)
    if json:
        print_json({"ingested": ingested, "gates": gates, "built": built, "published": published})
        return
    _print_ingested(ingested)
    _print_gates(gates)
    _print_built(built)
    _print_published(published)


def _workspace(of: SurfaceOptions, at: RegistryOptions) -> Workspace:
    from recsys.artifacts.registry import check_name
    from recsys.pipelines.workspace import Workspace

    _refuse_unknown(of, at)
    return Workspace(at.where.data_dir, check_name(of.tenant, "tenant"), check_name(of.surface, "surface"))


def _refuse_unknown(of: SurfaceOptions, at: RegistryOptions) -> None:
    """Raise :class:`UsageError` for a tenant that a store with tenants does not have.

    A store without one was made by the first audit entry: whoever publishes there has no tenants.
    """
    from recsys.cli.store_options import control_plane
    from recsys.contracts.errors import UsageError

    if not at.where.location.exists():
        return
    with control_plane(at.where) as plane:
        known = [tenant.tenant_id for tenant in plane.tenants()]
    if known and of.tenant not in known:
        raise UsageError(
            f"tenant {of.tenant!r} does not exist; make it with: recsys tenant create {of.tenant}"
        )


def _settings(path: Path | None, of: SurfaceOptions, at: RegistryOptions) -> PipelineSettings:
    """Return the settings of a file, else those of the tenant's config, else the defaults."""
    import msgspec

    from recsys.cli.store_options import control_plane
    from recsys.contracts.documents import InvalidDocument, parse_json
    from recsys.contracts.pipeline import PipelineSettings, read_pipeline_settings
    from recsys.control.store import NotFoundError

    if path is not None:
        data = path.read_bytes().removeprefix(BOM_UTF8)
        try:
            given = msgspec.toml.decode(data) if path.suffix == ".toml" else parse_json(data, str(path))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidDocument(str(path), f"not TOML: {error}") from error
        try:
            return read_pipeline_settings(given)
        except InvalidDocument as error:
            raise InvalidDocument(f"{path}: {error.pointer}", error.problem) from error
    if not at.where.location.exists():
        return PipelineSettings()
    with control_plane(at.where) as plane:
        try:
            document = msgspec.json.decode(plane.document(of.tenant, "config").data)
        except NotFoundError:
            return PipelineSettings()
    return read_pipeline_settings(document.get("pipeline", {}))


def _resources(memory: str, threads: int, of: SurfaceOptions, at: RegistryOptions) -> Resources:
    from recsys.cli.store_options import control_plane
    from recsys.control.store import NotFoundError
    from recsys.pipelines.build.request import parse_size
    from recsys.pipelines.kinds import Resources

    salt: bytes | None = None
    if at.where.location.exists():
        with control_plane(at.where) as plane, suppress(NotFoundError):
            salt = plane.tenant(of.tenant).salt
    return Resources(parse_size(memory), threads, salt)


def _ingest(
    workspace: Workspace, days: Range, source: SourceOptions, reading: InputOptions, begin: BeginStage
) -> Ingested:
    from recsys.pipelines.ingest import ingest

    first, last = days.from_.date(), days.to.date()
    now = datetime.now(UTC)  # before a source is asked: what comes in meanwhile may not be in the answer
    workspace.folder.mkdir(parents=True, exist_ok=True)
    with open_source(workspace, days, source, reading, begin) as (given, origin):
        return ingest(
            workspace,
            given,
            first,
            last,
            origin=origin,
            segment=source.segment,
            incremental=source.incremental,
            allow_empty_days=source.allow_empty_days,
            now=now,
        )


def _words(gates: Sequence[GateResult], comment: str) -> tuple[str, str]:
    """Return action and comment of the audit entry of a release; gates that failed are named there."""
    failed = [str(gate) for gate in gates if gate.status == "fail"]
    if not failed:
        return "publish", comment
    forced = f"forced past {len(failed)} failed gates: {'; '.join(failed)}"
    return "force_publish", f"{comment}. {forced}" if comment else forced


def _record_force(trail: Trail, published: Published, gates: Sequence[GateResult], comment: str) -> None:
    """Enter that gates were overruled, though the release was current already."""
    action, words = _words(gates, comment)
    if action == "force_publish" and not published.is_new:
        trail.record(action, published.manifest.parent, published.manifest.version, words)


def _print_ingested(report: Ingested) -> None:
    print(
        f"ingested {report.rows:,} rows: {report.days:,} days, {report.days_changed:,} changed, "
        f"{report.days_kept:,} kept; {report.duplicates:,} duplicates and {report.other:,} others left out"
    )
    if report.bad:
        print_warning(f"{report.bad:,} bad rows put aside in {report.quarantine}")


def _print_gates(results: list[GateResult]) -> None:
    rows = [(one.gate, one.status, one.value, one.limit, one.where) for one in results]
    print_table(("gate", "status", "value", "limit", "where"), rows)


def _print_built(built: list[Built]) -> None:
    rows = [
        (one.kind, one.bytes, "built" if one.is_new else "up to date", short(one.sha256)) for one in built
    ]
    print_table(("kind", "bytes", "", "sha256"), rows)


def _print_published(published: Published) -> None:
    manifest = published.manifest
    verb = "published" if published.is_new else "is current already:"
    print(f"{manifest.tenant}/{manifest.surface} {verb} {manifest.version}")
