"""Where a pipeline's interactions come from, and the days that are meant: options, and opening them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter, Token

from recsys.cli.artifact_build import InputOptions, mapping_of
from recsys.cli.console import BeginStage, print_warning

if TYPE_CHECKING:
    from recsys.pipelines.build.request import BuildInput
    from recsys.pipelines.stages import Built
    from recsys.pipelines.workspace import Workspace


def _day(_type: type[datetime], tokens: Sequence[Token]) -> datetime:
    try:
        return datetime.fromisoformat(tokens[0].value)
    except ValueError as error:
        raise ValueError(f"{tokens[0].value!r} is not a day, such as 2026-01-31") from error


@Parameter(name="*")
@dataclass(frozen=True)
class Range:
    """Which days (UTC) are meant."""

    from_: Annotated[
        datetime, Parameter(name="--from", converter=_day, help="The first day, such as 2026-01-31.")
    ]
    to: Annotated[datetime, Parameter(name="--to", converter=_day, help="The last day; it is included.")]


@Parameter(name="*")
@dataclass(frozen=True)
class SourceOptions:
    """Where interactions come from."""

    interactions: Annotated[
        tuple[str, ...],
        Parameter(negative="", help="Files, folders, globs, s3://bucket/folder, or postgresql://…"),
    ] = ()
    query: Annotated[
        str | None, Parameter(help="SQL for PostgreSQL; %(from)s and %(to)s bound the days, `to` excluded.")
    ] = None
    logs: Annotated[
        Path | None, Parameter(help="The folder of our own exposures and outcomes, such as data/logs.")
    ] = None
    segment: Annotated[
        str | None, Parameter(help="Only rows of this segment; rows that name none are taken to be of it.")
    ] = None
    incremental: Annotated[
        bool, Parameter(negative="", help="Read only for days that were not ingested since they ended.")
    ] = False
    allow_empty_days: Annotated[
        bool, Parameter(negative="", help="Empty days that have rows and for which the input has none.")
    ] = False


NO_SOURCE = SourceOptions()


@Parameter(name="*")
@dataclass(frozen=True)
class CatalogOptions:
    """Where the items come from."""

    catalog: Annotated[
        tuple[Path, ...],
        Parameter(negative="", help="Item files, or a catalog (default: the one built last)."),
    ] = ()
    catalog_map: Annotated[
        tuple[str, ...],
        Parameter(negative="", help="OURS=THEIRS: a column of the item files by another name."),
    ] = ()

    def prepare(self, workspace: Workspace, begin: BeginStage) -> Built:
        """Bring the workspace's catalog up to date."""
        from recsys.contracts.errors import UsageError
        from recsys.pipelines.input.mapping import merge_options
        from recsys.pipelines.kinds import ARTIFACT_ENDING
        from recsys.pipelines.stages import prepare_catalog

        if self.catalog_map and (not self.catalog or self.catalog[0].suffix == ARTIFACT_ENDING):
            raise UsageError("--catalog-map goes with item files in --catalog")
        mapping = merge_options(None, columns=self.catalog_map, map_option="--catalog-map")
        return prepare_catalog(workspace, self.catalog, mapping=mapping, begin=begin)


BUILT_LAST = CatalogOptions()


@contextmanager
def open_source(
    workspace: Workspace, days: Range, source: SourceOptions, reading: InputOptions, begin: BeginStage
) -> Iterator[tuple[BuildInput, object]]:
    """Yield the input as local files, and what names it when those are only copies."""
    from recsys.contracts.errors import UsageError
    from recsys.pipelines.build.request import BuildInput
    from recsys.pipelines.input.files import find_input_files
    from recsys.pipelines.input.mapping import ColumnMapping
    from recsys.pipelines.input.quarantine import BadRowLimit
    from recsys.pipelines.sources.logs import download_logs
    from recsys.pipelines.sources.objects import download_objects, is_object_uri
    from recsys.pipelines.sources.postgres import download_query, is_postgres_url
    from recsys.pipelines.workspace import file_digest

    if bool(source.interactions) == (source.logs is not None):
        raise UsageError("give either --interactions or --logs")
    databases = [text for text in source.interactions if is_postgres_url(text)]
    if bool(databases) != (source.query is not None) or len(databases) not in (0, len(source.interactions)):
        raise UsageError("--query goes with one postgresql:// in --interactions, and nothing else")
    mapping = mapping_of(reading)
    first, last = days.from_.date(), days.to.date()
    origin: object = None
    with TemporaryDirectory(prefix=".source-", dir=workspace.folder) as scratch:
        table = Path(scratch) / "rows.parquet"
        if source.logs is not None:
            taken = download_logs(source.logs, workspace.tenant, workspace.surface, first, last, table)
            if taken.unjoined:
                print_warning(f"{taken.unjoined:,} outcomes have no exposure of this surface")
            paths, origin, mapping = [table], file_digest(table), ColumnMapping()
        elif databases and source.query is not None:
            table = table.with_suffix(".csv")
            download_query(databases[0], source.query, first, last, table)
            paths, origin, mapping = [table], file_digest(table), mapping or ColumnMapping()
        else:
            objects = [text for text in source.interactions if is_object_uri(text)]
            paths = [Path(text) for text in source.interactions if not is_object_uri(text)]
            if objects:
                copies, tags = download_objects(objects, Path(scratch))
                origin = [tags, [(str(path), path.stat().st_mtime_ns) for path in paths]]
                paths += copies
        quarantine = reading.quarantine or workspace.folder / "ingest.bad.jsonl"
        limit = BadRowLimit.parse(reading.max_bad_rows)
        yield BuildInput(find_input_files(paths), mapping, limit, quarantine, begin), origin
