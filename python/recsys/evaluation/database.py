"""DuckDB as evaluations use it: in UTC, and silent."""

from __future__ import annotations

from pathlib import Path

import duckdb


def open_database(path: Path | None = None) -> duckdb.DuckDBPyConnection:
    """Return a database in a file, or in memory; the caller closes it.

    Without being asked, DuckDB draws the progress of a query that takes two seconds on stdout, where the
    answer of a command goes, as JSON too.
    """
    connection = duckdb.connect(":memory:" if path is None else str(path))
    connection.execute("SET enable_progress_bar_print = false")
    connection.execute("SET TimeZone = 'UTC'")
    return connection
