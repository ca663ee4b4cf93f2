"""Logs in Parquet as the lines that they would be in JSON, so that both are checked by the same rules."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from recsys.evaluation.database import open_database
from recsys.evaluation.log_blocks import DamagedFileError

_BATCH_ROWS = 32_768


def read_rows(path: Path) -> Iterator[tuple[bytes, pa.RecordBatch]]:
    """Yield batches of the rows at ``path``, each with one JSON line per row.

    A line is not sound JSON where its row is not sound (``NaN``), and leaves out columns that are null
    throughout, as a line leaves out a key. Raises DamagedFileError with kind ``corrupt_file``.
    """
    # A connection of its own: it keeps the order of rows, and runs while the caller's is at work.
    with open_database() as connection:
        connection.execute("SET threads = 1")
        try:
            with pq.ParquetFile(path) as parquet:
                for batch in parquet.iter_batches(_BATCH_ROWS):
                    yield _to_lines(connection, batch), batch
        except (pa.ArrowException, OSError) as error:
            raise DamagedFileError("corrupt_file", str(error)) from error


def _to_lines(connection: duckdb.DuckDBPyConnection, batch: pa.RecordBatch) -> bytes:
    fields = []
    for field, column in zip(batch.schema, batch.columns, strict=True):
        if column.null_count == len(column):
            continue
        quoted = '"' + field.name.replace('"', '""') + '"'
        value = quoted
        if pa.types.is_timestamp(field.type) and field.type.tz is not None:
            value = f"strftime({quoted}::TIMESTAMPTZ::TIMESTAMP, '%Y-%m-%dT%H:%M:%S.%fZ')"
        elif pa.types.is_struct(field.type):
            # A struct holds null for a key that the context does not have.
            value = f"json_merge_patch('{{}}', to_json({quoted}))"
        fields.append(f"{quoted} := {value}")
    rows = pa.Table.from_batches([batch])  # noqa: F841 - DuckDB finds it by its name
    query = f"SELECT to_json(struct_pack({', '.join(fields)}))::VARCHAR || chr(10) AS line FROM rows"  # noqa: S608
    try:
        return b"".join(_bytes_of(chunk) for chunk in connection.sql(query).to_arrow_table()["line"].chunks)
    except duckdb.Error:
        # A column of a type that cannot be written so: each row is looked at by itself, which tells.
        return b"\n" * len(batch)


def _bytes_of(texts: pa.Array[Any]) -> bytes:
    _, offsets, data = texts.buffers()
    ends = np.frombuffer(memoryview(cast("pa.Buffer", offsets)), np.int32)
    start, end = int(ends[texts.offset]), int(ends[texts.offset + len(texts)])
    return data[start:end].to_pybytes() if data is not None else b""
