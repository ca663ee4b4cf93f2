"""The DuckDB connection that evaluations work in, and the endings of the files that are logs.

Formats go by the ending of the name: ``.jsonl``, ``.jsonl.gz``, ``.jsonl.zst`` and ``.parquet``.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from recsys.contracts.errors import EvaluationError
from recsys.evaluation.database import open_database

ENDINGS = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet")
DEFAULT_MEMORY = "1GB"


@contextmanager
def connect(memory: str = DEFAULT_MEMORY, threads: int | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a DuckDB that holds at most ``memory`` (such as ``"2GB"``); tables and spill go to a folder that
    is removed with it.

    Times are in UTC. Raises EvaluationError when ``memory`` is not a size.
    """
    with (
        tempfile.TemporaryDirectory(prefix="recsys-eval-") as spill,
        open_database(Path(spill) / "logs.duckdb") as connection,
    ):
        try:
            connection.execute("SET memory_limit = ?", [memory])
        except duckdb.Error as error:
            raise EvaluationError(f"--memory: {memory!r} is not a size such as 2GB") from error
        connection.execute("SET temp_directory = ?", [spill])
        connection.execute("SET preserve_insertion_order = false")
        if threads is not None:
            connection.execute("SET threads = ?", [threads])
        yield connection
