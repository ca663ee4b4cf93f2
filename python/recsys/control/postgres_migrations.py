"""The relations of the store on PostgreSQL, as numbered migrations: a number, once given, never changes
its meaning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recsys.control.store import ControlError

if TYPE_CHECKING:
    import psycopg

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE recsys.entries (
        area text COLLATE "C" NOT NULL,
        key bytea NOT NULL,
        value bytea NOT NULL,
        PRIMARY KEY (area, key)
    )
    """,
)
_MIGRATION_LOCK = int.from_bytes(b"recsys-m")


def migrate(connection: psycopg.Connection[tuple[Any, ...]]) -> None:
    """Bring the schema ``recsys`` to the newest version; hosts that start at once wait for each other.

    Raises :class:`ControlError` for a schema of a newer recsys, and ``psycopg.Error`` as the server does. A
    schema that is current asks for no right to change it.
    """
    found = _version(connection)
    if found > len(MIGRATIONS):
        raise ControlError(
            f"the control store has schema version {found}, this recsys knows {len(MIGRATIONS)}: "
            "update recsys"
        )
    if found == len(MIGRATIONS):
        return
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_MIGRATION_LOCK,))
        connection.execute("CREATE SCHEMA IF NOT EXISTS recsys")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS recsys.migrations "
            "(version int PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        found = _version(connection)
        for number, statement in enumerate(MIGRATIONS[found:], found + 1):
            connection.execute(statement.encode())
            connection.execute("INSERT INTO recsys.migrations (version) VALUES (%s)", (number,))


def _version(connection: psycopg.Connection[tuple[Any, ...]]) -> int:
    row = connection.execute("SELECT to_regclass('recsys.migrations')::text").fetchone()
    if row is None or row[0] is None:
        return 0
    row = connection.execute("SELECT coalesce(max(version), 0) FROM recsys.migrations").fetchone()
    return 0 if row is None else int(row[0])
