"""``recsys artifact build``: input files to a catalog or a signal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import cyclopts
from cyclopts import Parameter
from cyclopts.validators import Number

from recsys.cli.console import BeginStage, JsonFlag, print_json, print_warning, progress

if TYPE_CHECKING:
    from recsys._native import Catalog
    from recsys.pipelines.build.interactions import Selection
    from recsys.pipelines.build.request import BuildInput, BuildReport
    from recsys.pipelines.input.mapping import ColumnMapping

Options = TypeVar("Options")

app = cyclopts.App(name="build", help="Build a catalog or a signal from input files.")
for _kind, _help in (
    ("session_seq", "Build session sequences: what comes after an item in a session, the sooner the better."),
    ("session_knn", "Build the session index: past sessions, searched for those like the current one."),
    ("content_sim", "Build likeness of items by tags, brand, category and title: cosine of TF-IDF."),
    ("implicit", "Build the items of each user, from what the user has taken."),
):
    app.command(f"recsys.cli.artifact_build_kinds:{_kind}", name=_kind, help=_help)

_Count = Parameter(validator=Number(gte=1, lte=2**31))


@Parameter(name="*")
@dataclass(frozen=True)
class InputOptions:
    """How input files are read."""

    map: Annotated[
        tuple[str, ...], Parameter(negative="", help="OURS=THEIRS: a column by another name.")
    ] = ()
    set: Annotated[
        tuple[str, ...], Parameter(negative="", help="OURS=VALUE: the same value in every row.")
    ] = ()
    mapping: Annotated[Path | None, Parameter(help="TOML file with [columns], [constants], timezone, …")] = (
        None
    )
    timezone: Annotated[str | None, Parameter(help="Zone of times without one, such as Europe/Berlin.")] = (
        None
    )
    time_unit: Annotated[
        Literal["s", "ms", "us", "ns"] | None, Parameter(help="Unit of times given as numbers since 1970.")
    ] = None
    tag_separator: Annotated[
        str | None, Parameter(help="What separates tags in one string (default: |).")
    ] = None
    max_bad_rows: Annotated[str, Parameter(help="Bad rows tolerated: a share or a count.")] = "0.1%"
    quarantine: Annotated[
        Path | None, Parameter(help="Where bad rows go (default: the output's name + .bad.jsonl).")
    ] = None


@Parameter(name="*")
@dataclass(frozen=True)
class SelectionOptions:
    """Which interactions count, and how much."""

    tenant: Annotated[str | None, Parameter(help="Only rows of this tenant.")] = None
    surface: Annotated[str | None, Parameter(help="Only rows of this surface.")] = None
    event_weight: Annotated[
        tuple[str, ...],
        Parameter(
            negative="", help="TYPE=WEIGHT, 0 to leave a type out; '*' for types not named (default: 1)."
        ),
    ] = ()


@Parameter(name="*")
@dataclass(frozen=True)
class Resources:
    """What a build may take of the machine."""

    memory: Annotated[str, Parameter(help="Memory bound of the builder, such as 512M; the rest spills.")] = (
        "1G"
    )
    threads: Annotated[
        int, Parameter(help="Threads; 0 takes all cores.", validator=Number(gte=0, lte=1024))
    ] = 0


NO_INPUT = InputOptions()
_ALL = SelectionOptions()
_RESOURCES = Resources()


@app.command
def catalog(
    paths: Annotated[list[Path], Parameter(negative="", help="Item files, folders or globs.")],
    *,
    out: Path,
    reading: InputOptions = NO_INPUT,
    json: JsonFlag = False,
) -> None:
    """Build a catalog.

    Columns: item_id, title, tags, brand, category, price, created_at, available, valid_until.

    Parameters
    ----------
    out
        The file to write.
    """
    from recsys.pipelines.build.catalog import build_catalog

    with progress() as begin:
        report = build_catalog(build_input(paths, out, reading, begin), out)
    show_report(report, as_json=json)


@app.command
def popularity(
    paths: Annotated[list[Path], Parameter(negative="", help="Interaction files, folders or globs.")],
    *,
    catalog: Path,
    out: Path,
    half_life: str | None = None,
    now: datetime | None = None,
    segment_column: str | None = None,
    reading: InputOptions = NO_INPUT,
    selection: SelectionOptions = _ALL,
    resources: Resources = _RESOURCES,
    json: JsonFlag = False,
) -> None:
    """Build popularity: the sum of weight x 2^(-age/half-life), over all and in each segment.

    Parameters
    ----------
    catalog
        The catalog that the items belong to.
    out
        The file to write.
    half_life
        After this time a row counts half, such as 28d; without it all history counts alike.
    now
        When ages are taken (default: the time of the last row).
    segment_column
        The column that names a row's segment.
    """
    from recsys.pipelines.build.popularity import PopularityOptions, build_popularity
    from recsys.pipelines.build.request import parse_duration, parse_size

    options = PopularityOptions(
        half_life_ms=None if half_life is None else parse_duration(half_life),
        now_ms=None if now is None else _to_ms(now),
        selection=select_rows(selection),
        memory_bytes=parse_size(resources.memory),
        threads=resources.threads,
    )
    build_signal(build_popularity, options, paths, catalog, out, reading, segment_column, as_json=json)


@app.command
def cooc(
    paths: Annotated[list[Path], Parameter(negative="", help="Interaction files, folders or globs.")],
    *,
    catalog: Path,
    out: Path,
    normalization: Literal["count", "cosine", "jaccard", "lift", "confidence"] = "cosine",
    window: str | None = None,
    min_support: Annotated[int, _Count] = 2,
    top_n: Annotated[int, _Count] = 100,
    max_items_per_session: Annotated[int, Parameter(validator=Number(gte=2, lte=2**31))] = 200,
    reading: InputOptions = NO_INPUT,
    selection: SelectionOptions = _ALL,
    resources: Resources = _RESOURCES,
    json: JsonFlag = False,
) -> None:
    """Build co-visitation: what is taken together with an item in one session.

    Parameters
    ----------
    catalog
        The catalog that the items belong to.
    out
        The file to write.
    normalization
        How a pair's count is put in relation to its items' counts.
    window
        The longest time between two items of a pair, such as 30m (default: any in one session).
    min_support
        The fewest sessions that a pair needs.
    top_n
        How many neighbours an item keeps.
    max_items_per_session
        Longer sessions are sampled down to this, the same way every time.
    """
    from recsys.pipelines.build.cooc import CoocOptions, build_cooc
    from recsys.pipelines.build.request import parse_duration, parse_size

    options = CoocOptions(
        normalization=normalization,
        window_ms=None if window is None else int(parse_duration(window)),
        min_support=min_support,
        top_n=top_n,
        max_items_per_session=max_items_per_session,
        selection=select_rows(selection),
        memory_bytes=parse_size(resources.memory),
        threads=resources.threads,
    )
    build_signal(build_cooc, options, paths, catalog, out, reading, as_json=json)


def build_signal(
    build: Callable[[Catalog, BuildInput, Path, Options], BuildReport],
    options: Options,
    paths: list[Path],
    catalog: Path,
    out: Path,
    reading: InputOptions,
    segment_column: str | None = None,
    *,
    as_json: bool,
) -> None:
    """Build a signal from interaction files, and print what that did."""
    from recsys._native import Catalog

    with progress() as begin:
        given = build_input(paths, out, reading, begin, catalog=catalog, segment_column=segment_column)
        report = build(Catalog.open(str(catalog)), given, out, options)
    show_report(report, as_json=as_json)


def build_input(
    paths: list[Path],
    out: Path,
    reading: InputOptions,
    begin: BeginStage,
    *,
    catalog: Path | None = None,
    segment_column: str | None = None,
) -> BuildInput:
    """Return what a build reads: files, their mapping, and what becomes of bad rows."""
    from recsys.pipelines.build.request import BuildInput, refuse_overwriting
    from recsys.pipelines.input.files import find_input_files
    from recsys.pipelines.input.quarantine import BadRowLimit

    mapping = mapping_of(reading, segment_column=segment_column)
    quarantine = reading.quarantine or out.with_name(out.name + ".bad.jsonl")
    limit = BadRowLimit.parse(reading.max_bad_rows)
    files = find_input_files(paths)
    named = (catalog, reading.mapping)
    refuse_overwriting(out, [*(file.path for file in files), *(path for path in named if path is not None)])
    return BuildInput(files, mapping, limit, quarantine, begin)


def mapping_of(reading: InputOptions, *, segment_column: str | None = None) -> ColumnMapping | None:
    """Return the column mapping that the options give, ``None`` when they give none."""
    from recsys.pipelines.input.mapping import load_mapping, merge_options

    return merge_options(
        None if reading.mapping is None else load_mapping(reading.mapping),
        columns=reading.map if segment_column is None else (*reading.map, f"segment={segment_column}"),
        constants=reading.set,
        timezone=reading.timezone,
        time_unit=reading.time_unit,
        tag_separator=reading.tag_separator,
    )


def select_rows(selection: SelectionOptions) -> Selection:
    """Return which interactions count."""
    from recsys.pipelines.build.interactions import Selection, parse_event_weights

    return Selection(selection.tenant, selection.surface, parse_event_weights(selection.event_weight))


def _to_ms(moment: datetime) -> int:
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def show_report(report: BuildReport, *, as_json: bool) -> None:
    """Print what a build did; bad rows are warned of."""
    if report.bad:
        print_warning(f"{report.bad:,} bad rows put aside in {report.quarantine}")
    if as_json:
        print_json(report)
        return
    print(f"{report.kind}: {report.path}, {report.bytes:,} bytes, sha256 {report.sha256}")
    facts = [f"{report.rows:,} rows read"]
    for count, what in (
        (report.bad, "bad"),
        (report.unknown_items, "of items that the catalog does not know"),
        (report.other, "left out"),
        (report.heavy_sessions, "heavy sessions sampled"),
    ):
        if count:
            facts.append(f"{count:,} {what}")
    print(", ".join(facts))
    if report.window is not None:
        print(f"from {report.window.start:%Y-%m-%d %H:%M} to {report.window.end:%Y-%m-%d %H:%M} UTC")
