"""Signals that another engine has computed: a table of (key, item_id, score) in, a signal out, and back."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from recsys._native import Catalog, Signal, SignalPacker
from recsys.contracts.errors import BuildError
from recsys.pipelines.build.request import BuildInput, BuildReport, Window, metadata_of
from recsys.pipelines.input.columns import Column
from recsys.pipelines.input.quarantine import Quarantine
from recsys.pipelines.input.reader import RowSource, read_rows

KeyType = Literal["segment", "item", "user"]

PACK_COLUMNS = (
    Column("key", "id", required=True),
    Column("item_id", "id", required=True),
    Column("score", "number", required=True),
)
"""One row per entry of a list, in any order."""

KEY_TYPES: dict[str, KeyType] = {
    "popularity": "segment",
    "cooc": "item",
    "session_seq": "item",
    "content_sim": "item",
    "implicit": "user",
}
"""What our own signals are keyed by."""

_FIELDS: list[pa.Field[Any]] = [
    pa.field("key", pa.string()),
    pa.field("item_id", pa.string()),
    pa.field("score", pa.float64()),
]
_TABLE = pa.schema(_FIELDS)
_ROWS_PER_GROUP = 256 * 1024


def pack_signal(
    catalog: Catalog,
    given: BuildInput,
    out: Path,
    *,
    kind: str,
    key_type: KeyType,
    window: Window | None = None,
    params: Mapping[str, object] | None = None,
    may_be_empty: bool = False,
) -> BuildReport:
    """Write the rows of ``given`` as a signal; ``window`` and ``params`` say what they were computed from.

    Rows of items (or of item keys) that the catalog lacks are left out and counted. Raises
    :class:`BuildError` for an item twice under one key and when nothing is left (unless it ``may_be_empty``
    from the start), and :class:`~recsys.pipelines.input.errors.InputError` as reading does.
    """
    packer = SignalPacker(catalog, kind=kind, key_type=key_type)
    source = RowSource(given.files, PACK_COLUMNS, given.mapping, closed=True)
    advance = given.begin("reading scores", source.total_bytes)
    with Quarantine(given.quarantine, given.limit) as quarantine:
        for table in read_rows(source, quarantine, advance):
            _push(packer, table.combine_chunks())
        quarantine.check()
    rows, bad = quarantine.rows, quarantine.bad
    if packer.unknown_items >= rows - bad and not (may_be_empty and not rows):
        raise BuildError(f"no row counts: of {rows:,} rows {packer.unknown_items:,} have an unknown item")
    given.begin("writing", None)
    out.parent.mkdir(parents=True, exist_ok=True)
    sha256 = packer.finish(str(out), metadata=metadata_of(dict(params or {}), window=window, rows=rows))
    return BuildReport(
        kind,
        str(out),
        sha256,
        out.stat().st_size,
        rows,
        bad,
        packer.unknown_items,
        quarantine=str(given.quarantine) if bad and given.quarantine else None,
        window=window,
    )


def _push(packer: SignalPacker, table: pa.Table) -> None:
    """Push the rows of a batch, those of one key together."""
    rows: list[dict[str, str | float]] = table.sort_by("key").to_pylist()
    for key, group in groupby(rows, key=lambda row: str(row["key"])):
        of_key = list(group)
        packer.push(key, [str(row["item_id"]) for row in of_key], [float(row["score"]) for row in of_key])


def unpack_signal(signal: Signal, catalog: Catalog, out: Path) -> int:
    """Write a signal as a Parquet table of (key, item_id, score), best first within a key; return its rows.

    Lists are read one at a time. Raises :class:`BuildError` for a foreign catalog.
    """
    if signal.ids_digest != catalog.ids_digest:
        raise BuildError(f"{signal.path} was built for another catalog than {catalog.path}")
    temporary = out.with_name(f".tmp-{out.name}")
    rows = 0
    try:
        with pq.ParquetWriter(temporary, _TABLE) as writer:
            columns: tuple[list[str], list[str], list[float]] = ([], [], [])
            for key in _keys(signal, catalog):
                for item_id, score in signal.ranked(catalog, key, catalog.n_items) or ():
                    columns[0].append(key)
                    columns[1].append(item_id)
                    columns[2].append(score)
                if len(columns[0]) >= _ROWS_PER_GROUP:
                    rows += _write(writer, columns)
            rows += _write(writer, columns)
        temporary.replace(out)
    finally:
        temporary.unlink(missing_ok=True)
    return rows


def _write(writer: pq.ParquetWriter, columns: tuple[list[str], list[str], list[float]]) -> int:
    table = pa.table(dict(zip(_TABLE.names, columns, strict=True)), schema=_TABLE)
    writer.write_table(table)
    for column in columns:
        column.clear()
    return table.num_rows


def _keys(signal: Signal, catalog: Catalog) -> list[str]:
    if signal.key_type != "item":
        return signal.keys(0, signal.n_keys)
    return [catalog.item_at(at).item_id for at, length in enumerate(signal.list_lengths()) if length]
