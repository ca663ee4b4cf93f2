"""Connections to PostgreSQL: made when needed, kept for reuse, given up when broken; and the one that
listens.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeAlias

import psycopg
from psycopg import conninfo, errors
from psycopg.pq import TransactionStatus

from recsys.control.postgres_migrations import migrate
from recsys.control.store import ControlError, StoreUnavailableError

Connection: TypeAlias = "psycopg.Connection[tuple[Any, ...]]"  # columns are typed where they are read


class ConnectionLostError(StoreUnavailableError):
    """A connection that had worked broke, or two changes met: another try makes sense."""


MAX_IDLE = 4
RECHECK_S = 5.0
DEFAULTS = {
    "application_name": "recsys",
    "connect_timeout": "5",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
    "options": "-c statement_timeout=60000 -c idle_in_transaction_session_timeout=60000",
}
"""What a URL does not say itself. A server that vanished is noticed in about ten seconds."""


class Connections:
    """A few connections in autocommit mode, shared by threads. ``name`` is the URL without its secrets."""

    def __init__(self, url: str) -> None:
        try:
            given = conninfo.conninfo_to_dict(url)
        except psycopg.Error as error:
            raise ControlError(
                "the store's URL is not a PostgreSQL URL (postgresql://HOST/DATABASE)"
            ) from error
        parameters = DEFAULTS | {name: str(value) for name, value in given.items()}
        self._conninfo = conninfo.make_conninfo("", **parameters)
        host = given.get("host") or "local socket"
        self.name = f"control store at {host}, database {given.get('dbname') or 'by default'}"
        self._mutex = threading.Lock()
        self._idle: list[Connection] = []
        self._is_closed = False
        self._is_migrated = False

    def connect(self) -> Connection:
        """Return a new connection to a database with our tables; raises :class:`StoreUnavailableError`."""
        try:
            connection: Connection = psycopg.connect(self._conninfo, autocommit=True)
        except psycopg.Error as error:
            raise StoreUnavailableError(f"{self.name}: unavailable: {_one_line(error)}") from error
        try:
            with self._mutex:
                if not self._is_migrated:
                    migrate(connection)
                    self._is_migrated = True
        except psycopg.Error as error:
            connection.close()
            raise self._failure(error) from error
        except BaseException:
            connection.close()
            raise
        return connection

    @contextmanager
    def transaction(self, begin: str) -> Iterator[Connection]:
        """Run a ``with`` block between ``begin`` and a commit; an error rolls back.

        Raises :class:`StoreUnavailableError` for a lost connection, :class:`ControlError` for what the server
        refuses.
        """
        connection = self._begin(begin)
        try:
            yield connection
            connection.execute("COMMIT")
        except errors.LockNotAvailable:
            raise
        except psycopg.Error as error:
            raise self._failure(error) from error
        finally:
            self._give_back(connection)

    @contextmanager
    def own(self) -> Iterator[Connection]:
        """Give a connection that nobody else uses and that is closed afterwards."""
        connection = self.connect()
        try:
            yield connection
        except psycopg.Error as error:
            raise self._failure(error) from error
        finally:
            connection.close()

    def close(self) -> None:
        """Close what is idle now, and what is given back later."""
        with self._mutex:
            self._is_closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _begin(self, begin: str) -> Connection:
        while True:
            with self._mutex:
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                connection = self.connect()
                try:
                    connection.execute(begin)
                except psycopg.Error as error:
                    connection.close()
                    raise self._failure(error) from error
                return connection
            try:
                connection.execute(begin)
            except psycopg.Error:  # idle connections do not survive a restart of the server
                connection.close()
            else:
                return connection

    def _give_back(self, connection: Connection) -> None:
        with suppress(psycopg.Error):
            if connection.info.transaction_status != TransactionStatus.IDLE:
                connection.execute("ROLLBACK")
        is_sound = connection.info.transaction_status == TransactionStatus.IDLE
        with self._mutex:
            if is_sound and not self._is_closed and len(self._idle) < MAX_IDLE:
                self._idle.append(connection)
                return
        connection.close()

    def _failure(self, error: psycopg.Error) -> ControlError:
        problem = _one_line(error)
        if isinstance(error, errors.QueryCanceled):
            return StoreUnavailableError(f"{self.name}: does not answer in time: {problem}")
        if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
            return ConnectionLostError(f"{self.name}: unavailable: {problem}")
        return ControlError(f"{self.name}: refused: {problem}")


class Listener:
    """Hears the generation of every change on a connection of its own."""

    def __init__(self, connections: Connections, read_generation: Callable[[], int]) -> None:
        self._connections = connections
        self._read_generation = read_generation
        self._mutex = threading.Lock()
        self._connection: Connection | None = None
        self._heard = 0
        self._checked_at = 0.0

    def wait(self, known: int, timeout_s: float) -> int:
        """Return the generation, as soon as it is another than ``known`` or when the time is over.

        Every five seconds it is read as well, which also finds a connection that is dead without a word.
        """
        deadline = time.monotonic() + timeout_s
        with self._mutex:
            try:
                return self._wait(known, deadline)
            except BaseException as error:
                self._drop()
                if isinstance(error, psycopg.Error):
                    raise StoreUnavailableError(
                        f"{self._connections.name}: unavailable: {_one_line(error)}"
                    ) from error
                raise

    def close(self) -> None:
        """Stop to listen."""
        with self._mutex:
            self._drop()

    def _wait(self, known: int, deadline: float) -> int:
        if self._connection is None:
            self._connection = self._connections.connect()
            self._connection.execute("LISTEN recsys_generation")
            self._check()
        while True:
            now = time.monotonic()
            if now - self._checked_at >= RECHECK_S:
                self._check()
            remaining_s = max(0.0, deadline - now)
            patience_s = 0.0 if self._heard != known else min(remaining_s, RECHECK_S)
            for notify in self._connection.notifies(timeout=patience_s, stop_after=1):
                self._heard = int(notify.payload)
            if self._heard != known or time.monotonic() >= deadline:
                return self._heard

    def _check(self) -> None:
        self._heard = self._read_generation()
        self._checked_at = time.monotonic()

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _one_line(error: psycopg.Error) -> str:
    return " ".join(str(error).split())
