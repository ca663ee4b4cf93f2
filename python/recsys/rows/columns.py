"""What a row of each kind has, and how rows become the chunks that the store keeps."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from recsys.contracts.rows import RowKind
from recsys.pipelines.input.columns import CATALOG_COLUMNS, Column

ROW_COLUMNS: dict[RowKind, tuple[Column, ...]] = {
    "catalog": (*CATALOG_COLUMNS, Column("surface", "id")),
    "popularity": (
        Column("surface", "id", required=True),
        Column("segment", "id"),
        Column("day", "day", required=True),
        Column("item_id", "id", required=True),
        Column("count", "number", required=True, minimum=0),
    ),
    "cooc": (
        Column("surface", "id", required=True),
        Column("day", "day", required=True),
        Column("item_id", "id", required=True),
        Column("neighbor_id", "id", required=True),
        Column("count", "number", required=True, minimum=0),
    ),
}
"""``day`` is a date, or a time whose UTC day counts."""

_CATALOG: dict[str, pa.DataType] = {
    "item_id": pa.string(),
    "title": pa.string(),
    "tags": pa.list_(pa.string()),
    "brand": pa.string(),
    "category": pa.string(),
    "price": pa.float64(),
    "created_at": pa.int64(),
    "available": pa.bool_(),
    "valid_until": pa.int64(),
}
_POPULARITY: dict[str, pa.DataType] = {"item_id": pa.string(), "count": pa.float64()}
_COOC: dict[str, pa.DataType] = {
    "item_id": pa.string(),
    "neighbor_id": pa.string(),
    "count": pa.float64(),
}
CONTENT: dict[RowKind, pa.Schema] = {
    "catalog": pa.schema(_CATALOG),
    "popularity": pa.schema(_POPULARITY),
    "cooc": pa.schema(_COOC),
}
"""The columns within a set; times in Unix milliseconds."""

KEYS: dict[RowKind, list[str]] = {
    "catalog": ["item_id"],
    "popularity": ["item_id"],
    "cooc": ["item_id", "neighbor_id"],
}
"""What names a row within a set."""

CHUNK_ROWS = 64 * 1024


def to_chunks(kind: RowKind, rows: pa.Table) -> list[bytes]:
    """Return rows as chunks of compressed Arrow streams; the same rows in the same order give the same
    bytes.
    """
    whole = rows.select(CONTENT[kind].names).cast(CONTENT[kind]).combine_chunks()
    chunks = []
    for start in range(0, whole.num_rows, CHUNK_ROWS):
        sink = pa.BufferOutputStream()
        options = pa.ipc.IpcWriteOptions(compression="zstd")
        with pa.ipc.new_stream(sink, CONTENT[kind], options=options) as stream:
            stream.write_table(whole.slice(start, CHUNK_ROWS))
        chunks.append(sink.getvalue().to_pybytes())
    return chunks


def from_chunks(kind: RowKind, chunks: Iterable[bytes]) -> pa.Table:
    """Return the rows of a set."""
    tables = [pa.ipc.open_stream(chunk).read_all() for chunk in chunks]
    return pa.concat_tables(tables) if tables else CONTENT[kind].empty_table()


def strings_of(rows: pa.Table, column: str) -> list[str]:
    """Return a string column without nulls."""
    return [str(value) for value in rows[column].to_pylist()]
