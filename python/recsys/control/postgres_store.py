"""The store on PostgreSQL, for several hosts: the same tables, in one relation of byte keys and values.

Updates are serial: each first takes an advisory lock, so what it reads is what the update before it left.
One that meets a lost connection runs again; when the connection breaks while it commits, the server is
asked what became of it. Connections are made when needed, so a store can be opened while its server is
down; then every call says so.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import errors, sql

from recsys.control.postgres_connections import Connection, ConnectionLostError, Connections, Listener
from recsys.control.store import (
    ControlError,
    NoNesting,
    StoreUnavailableError,
    T,
    Table,
    after_prefix,
    read_head,
)

MAX_ATTEMPTS = 5
LOCK_TIMEOUT_S = 30
FIRST_BATCH = 16
LAST_BATCH = 1024
_UPDATE_LOCK = int.from_bytes(b"recsys-u")

_GET = "SELECT value FROM recsys.entries WHERE area = %s AND key = %s"
_PUT = (
    "INSERT INTO recsys.entries (area, key, value) VALUES (%s, %s, %s) "
    "ON CONFLICT (area, key) DO UPDATE SET value = excluded.value"
)
_DELETE = "DELETE FROM recsys.entries WHERE area = %s AND key = %s"
_CLEAR = "DELETE FROM recsys.entries WHERE area = %s"


class _View:
    """Reader over one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, table: Table, key: bytes) -> bytes | None:
        row = self._connection.execute(_GET, (table, key)).fetchone()
        return None if row is None else bytes(row[0])

    def scan(
        self, table: Table, prefix: bytes = b"", *, reverse: bool = False, below: bytes | None = None
    ) -> Iterator[tuple[bytes, bytes]]:
        first, end = prefix, after_prefix(prefix)
        if below is not None and (end is None or below < end):
            end = below
        batch, is_after = FIRST_BATCH, False
        while True:
            query, values = _scan_query(first, end, is_after=is_after, reverse=reverse)
            rows = self._connection.execute(query, (table, *values, batch)).fetchall()
            for key, value in rows:
                yield bytes(key), bytes(value)
            if len(rows) < batch:
                return
            if reverse:
                end = bytes(rows[-1][0])
            else:
                first, is_after = bytes(rows[-1][0]), True
            batch = min(4 * batch, LAST_BATCH)


def _scan_query(
    first: bytes, end: bytes | None, *, is_after: bool, reverse: bool
) -> tuple[sql.Composed, list[bytes]]:
    bounds, values = [sql.SQL("key > %s" if is_after else "key >= %s")], [first]
    if end is not None:
        bounds.append(sql.SQL("key < %s"))
        values.append(end)
    query = sql.SQL("SELECT key, value FROM recsys.entries WHERE area = %s AND {} ORDER BY key {} LIMIT %s")
    return query.format(sql.SQL(" AND ").join(bounds), sql.SQL("DESC" if reverse else "ASC")), values


class _Update(_View):
    """Writer over one transaction; writes travel together, before the next read or the end."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._puts: dict[tuple[Table, bytes], bytes] = {}

    def get(self, table: Table, key: bytes) -> bytes | None:
        pending = self._puts.get((table, key))
        return super().get(table, key) if pending is None else pending

    def scan(
        self, table: Table, prefix: bytes = b"", *, reverse: bool = False, below: bytes | None = None
    ) -> Iterator[tuple[bytes, bytes]]:
        self.flush()
        return super().scan(table, prefix, reverse=reverse, below=below)

    def put(self, table: Table, key: bytes, value: bytes) -> None:
        self._puts[table, key] = value
        if len(self._puts) >= LAST_BATCH:
            self.flush()

    def delete(self, table: Table, key: bytes) -> None:
        self._puts.pop((table, key), None)
        self._connection.execute(_DELETE, (table, key))

    def clear(self, table: Table) -> None:
        self.flush()
        self._connection.execute(_CLEAR, (table,))

    def announce(self, generation: int) -> None:
        self._connection.execute("SELECT pg_notify('recsys_generation', %s)", (str(generation),))

    def flush(self) -> None:
        """Send the writes that wait."""
        if self._puts:
            rows = [(table, key, value) for (table, key), value in self._puts.items()]
            self._connection.cursor().executemany(_PUT, rows)
            self._puts.clear()


class PostgresStore:
    """A :class:`~recsys.control.store.Store` in the schema ``recsys`` of a database. Open it after
    forking.
    """

    def __init__(self, url: str) -> None:
        """Remember the ``postgresql://`` URL; raises :class:`ControlError` if it cannot be one."""
        self._connections = Connections(url)
        self._listener = Listener(self._connections, self._generation)
        self._no_nesting = NoNesting()

    @contextmanager
    def read(self) -> Iterator[_View]:
        """Open a consistent view; see :meth:`recsys.control.store.Store.read`."""
        with (
            self._no_nesting.enter(),
            self._connections.transaction("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY") as connection,
        ):
            yield _View(connection)

    def update(self, change: Callable[[_Update], T]) -> T:
        """Run a change; see :meth:`recsys.control.store.Store.update`."""
        attempt = 0
        with self._no_nesting.enter():
            while True:
                attempt += 1
                committing: str | None = None
                try:
                    with self._connections.transaction("BEGIN ISOLATION LEVEL READ COMMITTED") as connection:
                        connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_S}s'")
                        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_UPDATE_LOCK,))
                        writer = _Update(connection)
                        result = change(writer)
                        writer.flush()
                        row = connection.execute("SELECT pg_current_xact_id_if_assigned()::text").fetchone()
                        committing = None if row is None else row[0]
                except errors.LockNotAvailable as error:
                    raise StoreUnavailableError(
                        f"{self._connections.name}: another change has held the store for {LOCK_TIMEOUT_S} s"
                    ) from error
                except ConnectionLostError as error:
                    if committing is not None and self._is_committed(committing, error):
                        return result
                    if attempt == MAX_ATTEMPTS:
                        raise
                    time.sleep(0.05 * 2**attempt)
                else:
                    return result

    def wait_for_change(self, known: int, timeout_s: float) -> int:
        """Return another generation or the same one; see
        :meth:`recsys.control.store.Store.wait_for_change`.
        """
        return self._listener.wait(known, timeout_s)

    @contextmanager
    def try_lock(self, name: str) -> Iterator[bool]:
        """Hold an advisory lock; see :meth:`recsys.control.store.Store.try_lock`."""
        with self._connections.own() as connection:
            query = "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))"
            row = connection.execute(query, (f"recsys.{name}",)).fetchone()
            yield row is not None and bool(row[0])

    def backup(self, folder: Path) -> None:
        """Write all tables into a new LMDB store, from one view."""
        from recsys.control.backup import copy_tables  # noqa: PLC0415  it needs the stores
        from recsys.control.lmdb_store import LmdbStore  # noqa: PLC0415

        if folder.exists():
            raise ControlError(f"{folder}: the backup could not be written: it exists already")
        copy = LmdbStore(folder)
        try:
            with self.read() as reader:
                copy.update(lambda writer: copy_tables(reader, writer))
        finally:
            copy.close()

    def close(self) -> None:
        """Close the connections that nobody uses; others close when they are given back."""
        self._listener.close()
        self._connections.close()

    def _generation(self) -> int:
        with self.read() as reader:
            return read_head(reader).generation

    def _is_committed(self, transaction: str, lost: StoreUnavailableError) -> bool:
        """Tell what became of a transaction whose commit was not answered."""
        try:
            with self._connections.own() as connection:
                for _ in range(50):
                    row = connection.execute("SELECT pg_xact_status(%s::xid8)", (transaction,)).fetchone()
                    if row is not None and row[0] != "in progress":
                        return bool(row[0] == "committed")
                    time.sleep(0.1)
        except (psycopg.Error, StoreUnavailableError):
            pass
        raise StoreUnavailableError(
            f"{self._connections.name}: the connection broke while the change was committed; "
            "it may have been made"
        ) from lost
