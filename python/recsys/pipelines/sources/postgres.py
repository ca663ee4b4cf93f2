"""Interactions from PostgreSQL: the rows of one query, streamed into a CSV file.

Needs the extra ``postgres``.
"""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

from recsys.pipelines.input.errors import InputError

SCHEMES = ("postgresql://", "postgres://")


def is_postgres_url(text: str) -> bool:
    """Tell whether a text names a PostgreSQL database."""
    return text.startswith(SCHEMES)


def download_query(url: str, query: str, first: date, last: date, out: Path) -> int:
    """Write the rows of ``query`` to a CSV file with a header, and return their number.

    ``%(from)s`` and ``%(to)s`` in the query stand for the first day and the day after the last one. It
    runs in a read-only transaction, in UTC. Raises :class:`InputError` for a database that does not answer, a
    query that fails, and one without rows; the message never has the password.
    """
    try:
        import psycopg  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise InputError("PostgreSQL needs the extra: pip install 'recsys[postgres]'") from error
    bounds = {"from": first, "to": last + timedelta(days=1)}
    statement = f"COPY ({query.strip().rstrip(';')}) TO STDOUT (FORMAT csv, HEADER)"
    try:
        with psycopg.connect(url, connect_timeout=10) as connection:
            connection.read_only = True
            connection.execute("SET TimeZone = 'UTC'")
            cursor = connection.cursor()
            with cursor.copy(statement.encode(), bounds) as rows, out.open("wb") as file:
                for block in rows:
                    file.write(block)
            written = cursor.rowcount
    except psycopg.Error as error:
        raise InputError(f"{_shown(url)}: {' '.join(str(error).split())}") from error
    if not written:
        raise InputError(f"{_shown(url)}: the query returns no row for {first} to {last}")
    return written


def _shown(url: str) -> str:
    """Return the database's URL without user and password."""
    return f"postgresql://{url.partition('://')[2].rpartition('@')[2].partition('?')[0]}"
