"""``recsys artifact``: build, look into and verify catalogs and signals."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import cyclopts
from cyclopts import Parameter
from cyclopts.validators import Number

from recsys.cli.console import JsonFlag, print_json, print_table, visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from recsys.artifacts.inspect import ScoredItem

app = cyclopts.App(name="artifact", help="Build, look into and verify catalogs and signals.")
app.command(
    "recsys.cli.artifact_build:app", name="build", help="Build a catalog or a signal from input files."
)
app.command(
    "recsys.cli.artifact_exchange:import_", name="import", help="Turn JSON artifacts into a mapped one."
)
app.command(
    "recsys.cli.artifact_exchange:export",
    name="export",
    help="Turn an artifact into JSON or a Parquet table.",
)
app.command(
    "recsys.cli.artifact_exchange:pack", name="pack", help="Make a signal from scores of another engine."
)


Limit = Annotated[int, Parameter(validator=Number(gte=1, lte=1_000_000))]


@Parameter(name="*")
@dataclass(frozen=True)
class Place:
    """Which artifacts of a data folder are meant, when no file is named."""

    data_dir: Annotated[Path, Parameter(help="The data folder.")] = Path("data")
    tenant: str = "demo"
    surface: str = "home"
    catalog: Annotated[Path | None, Parameter(help="The catalog (default: that of the current release).")] = (
        None
    )

    @contextmanager
    def files(self, signal: Path | None, kind: str) -> Iterator[tuple[Path, Path]]:
        """Yield the catalog and the signal of a kind: those that were named, else those of the data folder.

        These are the ones of the current release, or without one those of ``recsys demo prepare``. Raises
        :class:`UsageError` when there are none.
        """
        if self.catalog is not None and signal is not None:
            yield self.catalog, signal
            return
        with self._current() as found:
            yield self.catalog or self._pick(found, "catalog"), signal or self._pick(found, kind)

    @contextmanager
    def _current(self) -> Iterator[dict[str, Path] | None]:
        from recsys.artifacts.cache import ArtifactCache
        from recsys.artifacts.registry import check_name, open_registry

        tenant, surface = check_name(self.tenant, "tenant"), check_name(self.surface, "surface")
        folder = self.data_dir / "registry"
        registry = open_registry(folder) if folder.is_dir() else None
        release = None if registry is None else registry.current(tenant, surface)
        if registry is None or release is None:
            yield None
            return
        with ArtifactCache(self.data_dir / "cache" / "artifacts").borrow(registry, release.manifest) as files:
            yield files

    def _pick(self, found: dict[str, Path] | None, kind: str) -> Path:
        from recsys.contracts.errors import UsageError

        of = f"{self.tenant}/{self.surface}"
        option = "--catalog" if kind == "catalog" else "--signal"
        if found is not None:
            if kind not in found:
                raise UsageError(f"the current release of {of} has no {kind}; name a file with {option}")
            return found[kind]
        file = self.data_dir / "artifacts" / self.tenant / self.surface / f"{kind}.rsa"
        if not file.is_file():
            raise UsageError(
                f"{self.data_dir}: nothing is published for {of}; name --data-dir, --tenant and --surface, "
                f"or a file with {option}, or make a release with: recsys pipeline run"
            )
        return file


_HERE = Place()


@app.command
def neighbors(
    item: str, *, signal: Path | None = None, k: Limit = 10, place: Place = _HERE, json: JsonFlag = False
) -> None:
    """Show the items that go best with one.

    Parameters
    ----------
    item
        The item's id.
    signal
        An item-keyed signal or a session index, which is searched for a session of the item (default:
        co-visitation of the current release).
    k
        How many to show.
    """
    from recsys._native import Catalog
    from recsys.artifacts.inspect import open_lists, ranked_items

    with place.files(signal, "cooc") as (items, lists):
        catalog = Catalog.open(str(items))
        found = ranked_items(open_lists(lists), catalog, item, k)
    if json:
        print_json(found)
        return
    anchor = catalog.item(item)
    print(visible(f"with {item} {anchor.title or '' if anchor else ''}".rstrip()))
    _print_items(found)


@app.command
def popular(
    *,
    segment: str = "default",
    signal: Path | None = None,
    k: Limit = 10,
    place: Place = _HERE,
    json: JsonFlag = False,
) -> None:
    """Show the most popular items, over all or in a segment.

    Parameters
    ----------
    segment
        The segment; `default` is over all.
    signal
        A segment-keyed signal (default: popularity of the current release).
    k
        How many to show.
    """
    from recsys._native import Catalog, Signal
    from recsys.artifacts.inspect import ranked_items

    with place.files(signal, "popularity") as (items, lists):
        catalog = Catalog.open(str(items))
        found = ranked_items(Signal.open(str(lists)), catalog, segment, k)
    if json:
        print_json(found)
        return
    _print_items(found)


@app.command
def inspect(path: Path, *, catalog: Path | None = None, k: Limit = 10, json: JsonFlag = False) -> None:
    """Show what a catalog, a signal or a session index holds: counts, top entries, distribution.

    Parameters
    ----------
    path
        The artifact.
    catalog
        The catalog of a signal, to show its top items (default: `catalog.rsa` beside it, if there is one).
    k
        How many entries of a list to show.
    """
    from recsys._native import Catalog, SessionIndex
    from recsys.artifacts.inspect import inspect_catalog, inspect_sessions, inspect_signal, open_artifact

    artifact = open_artifact(path)
    if isinstance(artifact, Catalog):
        items = inspect_catalog(artifact, limit=k)
        if json:
            print_json(items)
            return
        print(f"catalog: {items.items:,} items, {items.available:,} available, {items.tags:,} tags")
        print_table(("attribute", "filled %"), [(name, 100 * share) for name, share in items.filled.items()])
        print_table(("tag", "items"), items.top_tags)
        return
    if isinstance(artifact, SessionIndex):
        found = inspect_sessions(artifact)
        if json:
            print_json(found)
            return
        print(
            f"{found.kind}: {found.sessions:,} sessions of {found.items:,} items, {found.entries:,} entries"
        )
        print_table(("items of sessions", "items"), list(found.session_lengths.items()))
        print_table(("sessions of items", "sessions"), list(found.list_lengths.items()))
        return
    beside = catalog or path.with_name("catalog.rsa")
    of_catalog = Catalog.open(str(beside)) if catalog is not None or beside.is_file() else None
    summary = inspect_signal(artifact, of_catalog, limit=k)
    if json:
        print_json(summary)
        return
    print(f"{summary.kind}: {summary.keys:,} {summary.key_type} keys, {summary.entries:,} entries")
    print_table(("length of lists", "items"), list(summary.list_lengths.items()))
    for key, ranked in summary.top.items():
        _print_items(ranked, title=f"{summary.key_type} {key}")


@app.command
def verify(paths: list[Path], *, json: JsonFlag = False) -> None:
    """Check files whole: header, section table, every section's checksum and content.

    Parameters
    ----------
    paths
        The artifacts.
    """
    import msgspec

    from recsys._native import verify as verify_file

    reports = {str(path): msgspec.Raw(verify_file(str(path)).encode()) for path in paths}
    if json:
        print_json(reports)
        return
    for path in reports:
        print(f"{path}: sound")


def _print_items(found: Sequence[ScoredItem], *, title: str | None = None) -> None:
    rows = [(entry.rank, entry.item_id, entry.title, entry.score) for entry in found]
    print_table(("rank", "item", "title", "score"), rows, title=title)
