"""Where logs are: paths, folders, globs and URLs resolved to files, and a DuckDB connection that reads them.

Formats go by the ending of the name: ``.jsonl``, ``.jsonl.gz``, ``.jsonl.zst`` and ``.parquet``.
"""

from __future__ import annotations

import glob
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb

from recsys.contracts.errors import EvaluationError

ENDINGS = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet")
DEFAULT_MEMORY = "1GB"


def resolve_logs(paths: Sequence[str], role: str) -> list[str]:
    """Return the files that ``paths`` (files, folders, globs, URLs) stand for, sorted and each once.

    Raises EvaluationError naming ``role`` and the path when nothing is found or an ending is not readable.
    """
    found: set[str] = set()
    for path in paths:
        files = [path] if is_url(path) else _local_files(path)
        if not files:
            raise EvaluationError(f"{role}: no log file at {path} (looked for {', '.join(ENDINGS)})")
        found.update(files)
    for file in sorted(found):
        if not file.endswith(ENDINGS):
            raise EvaluationError(f"{role}: {file} does not end with one of {', '.join(ENDINGS)}")
    if not found:
        raise EvaluationError(f"{role}: no path was given")
    return sorted(found)


def is_url(path: str) -> bool:
    """Return whether ``path`` is an address (``s3://``, ``https://``…) and not a local path."""
    return "://" in path


def _local_files(path: str) -> list[str]:
    if Path(path).is_dir():
        return [str(file) for file in Path(path).rglob("*") if file.is_file() and file.name.endswith(ENDINGS)]
    if Path(path).is_file():
        return [path]
    return [
        file
        for file in glob.glob(path, recursive=True)  # noqa: PTH207 - an absolute pattern is allowed
        if Path(file).is_file()
    ]


@contextmanager
def connect(memory: str = DEFAULT_MEMORY, threads: int | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield an in-memory DuckDB limited to ``memory`` (such as ``"2GB"``), spilling to a folder that
    goes with it.

    Times are in UTC. Raises EvaluationError when ``memory`` is not a size.
    """
    with (
        tempfile.TemporaryDirectory(prefix="recsys-eval-") as spill,
        duckdb.connect(":memory:") as connection,
    ):
        try:
            connection.execute("SET memory_limit = ?", [memory])
        except duckdb.Error as error:
            raise EvaluationError(f"--memory: {memory!r} is not a size such as 2GB") from error
        connection.execute("SET temp_directory = ?", [spill])
        connection.execute("SET preserve_insertion_order = false")
        connection.execute("SET TimeZone = 'UTC'")
        if threads is not None:
            connection.execute("SET threads = ?", [threads])
        yield connection
