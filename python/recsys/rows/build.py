"""Rows of a surface to artifacts: a catalog, popularity by segment, co-visitation by item.

The score of an item is the sum over its days of count x 2^(-age / half-life), as popularity's builder has
it for single interactions; the age of a day is counted from the last day of the kind, and the half-life is
that of the config, which may differ by segment. Rows of a segment count for the segment ``default`` as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from recsys._native import Catalog, SignalPacker
from recsys.contracts.errors import BuildError
from recsys.contracts.rows import RowKind
from recsys.pipelines.build.catalog import write_items
from recsys.pipelines.build.request import Window, metadata_of
from recsys.rows.columns import CONTENT, KEYS, strings_of

DEFAULT_SEGMENT = "default"
MAX_NEIGHBORS = 100


@dataclass(frozen=True)
class DayRows:
    """The rows of one day (and segment, for popularity), as the store has them."""

    day: date
    rows: pa.Table
    segment: str = DEFAULT_SEGMENT


@dataclass(frozen=True)
class SurfaceRows:
    """All rows of a surface. ``catalog`` of ``None``: the items are those that the other rows name.

    ``half_lives`` are those of the segments in days, ``None`` for no decay.
    """

    catalog: pa.Table | None
    popularity: Sequence[DayRows] = ()
    cooc: Sequence[DayRows] = ()
    half_lives: Mapping[str, float | None] = field(default_factory=dict)


def build_surface(rows: SurfaceRows, folder: Path) -> dict[str, Path]:
    """Write the artifacts of a surface into ``folder`` and return them by kind, the catalog among them.

    The same rows give the same bytes. A signal of which no row names an item of the catalog is left out.
    Raises :class:`BuildError` when there is no item at all.
    """
    files = {"catalog": folder / "catalog.rsa"}
    items = _items_of(rows)
    if not items.num_rows:
        raise BuildError("there is no item in the rows")
    write_items(items, files["catalog"], rows=items.num_rows)
    catalog = Catalog.open(str(files["catalog"]))
    ids = sorted(strings_of(items, "item_id"), key=str.encode)
    ordinals = {item_id: ordinal for ordinal, item_id in enumerate(ids)}
    for kind, days, write in (
        ("popularity", rows.popularity, _write_popularity),
        ("cooc", rows.cooc, _write_cooc),
    ):
        if days and write(catalog, rows, ids, ordinals, folder / f"{kind}.rsa"):
            files[kind] = folder / f"{kind}.rsa"
    return files


def tell_left_out(rows: SurfaceRows) -> list[str]:
    """Say of each signal how many rows name an item that the catalog does not have."""
    if rows.catalog is None:
        return []
    ids, told = rows.catalog["item_id"], []
    kinds: tuple[tuple[RowKind, Sequence[DayRows]], ...] = (
        ("popularity", rows.popularity),
        ("cooc", rows.cooc),
    )
    for kind, days in kinds:
        total = known = 0
        for day in days:
            total += day.rows.num_rows
            found = day.rows
            for name in KEYS[kind]:
                found = found.filter(pc.is_in(found[name], value_set=ids))
            known += found.num_rows
        if known < total:
            unknown = total - known
            told.append(f"{kind}: {unknown:,} of {total:,} rows are of items that the catalog does not know")
    return told


def _items_of(rows: SurfaceRows) -> pa.Table:
    if rows.catalog is not None:
        return rows.catalog
    named: set[str] = set()
    for day in (*rows.popularity, *rows.cooc):
        for column in ("item_id", "neighbor_id"):
            if column in day.rows.column_names:
                named.update(strings_of(day.rows, column))
    schema = CONTENT["catalog"]
    ids = pa.array(sorted(named, key=str.encode), pa.string())
    arrays = [ids, *(pa.nulls(len(ids), column.type) for column in list(schema)[1:])]
    return pa.table(arrays, schema=schema)


def _write_popularity(
    catalog: Catalog, rows: SurfaceRows, ids: list[str], ordinals: dict[str, int], out: Path
) -> bool:
    last = max(day.day for day in rows.popularity)
    segments = sorted({day.segment for day in rows.popularity} | {DEFAULT_SEGMENT})
    packer = SignalPacker(catalog, kind="popularity", key_type="segment")
    n_rows = n_lists = 0
    for segment in segments:
        scores = np.zeros(len(ids))
        for day in rows.popularity:
            if segment in (DEFAULT_SEGMENT, day.segment):
                found, counts = _resolved(day.rows, "item_id", ordinals)
                n_rows += len(found) if day.segment == segment else 0
                decay = _decay(last, day.day, rows.half_lives.get(segment))
                scores += np.bincount(found, weights=counts * decay, minlength=len(ids))
        known = np.flatnonzero(scores > 0)
        if len(known):
            packer.push(segment, [ids[ordinal] for ordinal in known], scores[known].tolist())
            n_lists += 1
    if n_lists:
        packer.finish(str(out), metadata=_metadata(rows, rows.popularity, n_rows))
    return n_lists > 0


def _write_cooc(
    catalog: Catalog, rows: SurfaceRows, ids: list[str], ordinals: dict[str, int], out: Path
) -> bool:
    last = max(day.day for day in rows.cooc)
    half_life = rows.half_lives.get(DEFAULT_SEGMENT)
    pairs: list[npt.NDArray[np.int64]] = []
    weights: list[npt.NDArray[np.float64]] = []
    for day in rows.cooc:
        items, counts = _resolved(day.rows, "item_id", ordinals, drop=False)
        neighbors, _ = _resolved(day.rows, "neighbor_id", ordinals, drop=False)
        good = (items >= 0) & (neighbors >= 0) & (items != neighbors) & (counts > 0)
        pairs.append(items[good] * len(ids) + neighbors[good])
        weights.append(counts[good] * _decay(last, day.day, half_life))
    keys, places = np.unique(np.concatenate(pairs), return_inverse=True)
    scores = np.bincount(places, weights=np.concatenate(weights), minlength=len(keys))
    anchors, neighbors = np.divmod(keys, len(ids))
    order = np.lexsort((neighbors, -scores, anchors))
    starts = np.flatnonzero(np.diff(anchors[order], prepend=-1)).tolist() if len(order) else []
    packer = SignalPacker(catalog, kind="cooc", key_type="item")
    for start, end in zip(starts, [*starts[1:], len(order)], strict=False):
        best = order[start : min(end, start + MAX_NEIGHBORS)]
        packer.push(ids[anchors[best[0]]], [ids[n] for n in neighbors[best]], scores[best].tolist())
    if len(keys):
        packer.finish(str(out), metadata=_metadata(rows, rows.cooc, len(keys)))
    return len(keys) > 0


def _resolved(
    table: pa.Table, column: str, ordinals: dict[str, int], *, drop: bool = True
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return ordinals and counts; unknown items are left out, or -1 unless ``drop``."""
    found = np.array([ordinals.get(item_id, -1) for item_id in strings_of(table, column)], dtype=np.int64)
    counts = table["count"].to_numpy()
    return (found[found >= 0], counts[found >= 0]) if drop else (found, counts)


def _decay(last: date, day: date, half_life: float | None) -> float:
    return 1.0 if half_life is None else 2.0 ** (-(last - day).days / half_life)


def _metadata(rows: SurfaceRows, days: Sequence[DayRows], n_rows: int) -> str:
    first, last = min(day.day for day in days), max(day.day for day in days)
    end = datetime.combine(last + timedelta(days=1), time.min, UTC) - timedelta(milliseconds=1)
    params: dict[str, object] = {"source": "rows", "half_life_days": dict(rows.half_lives)}
    return metadata_of(params, window=Window(datetime.combine(first, time.min, UTC), end), rows=n_rows)
