"""The store on LMDB: one memory-mapped file that every worker process of a host opens.

LMDB gives snapshot reads without locks, one writer at a time across processes, and a file that is whole
after a kill
at any moment. Two things remain to do here. The map has a size: a change that does not fit grows it and
runs again,
and a process that meets a map grown by another takes the new size over. Resizing must not meet an open
transaction of the same process, so a gate counts these and lets a resize wait for none.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import lmdb

from recsys.control.lmdb_truncation import DATA_FILE, SizeWatch, is_truncated
from recsys.control.store import (
    ControlError,
    CorruptStoreError,
    NoNesting,
    T,
    Table,
    after_prefix,
    read_head,
)

INITIAL_MAP_BYTES = 64 * 1024 * 1024
MAX_MAP_BYTES = 64 * 1024**3
MAX_READERS = 512
MAX_TABLES = 64
FILE_MODE = 0o600
POLL_S = 0.05


class _Gate:
    """Counts the transactions of this process, so that a resize runs when there is none."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._open = 0
        self._resizing = False
        self._no_nesting = NoNesting()

    @contextmanager
    def shared(self) -> Iterator[None]:
        with self._no_nesting.enter():
            with self._changed:
                self._changed.wait_for(lambda: not self._resizing)
                self._open += 1
            try:
                yield
            finally:
                with self._changed:
                    self._open -= 1
                    self._changed.notify_all()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._resizing)
            self._resizing = True
            self._changed.wait_for(lambda: self._open == 0)
        try:
            yield
        finally:
            with self._changed:
                self._resizing = False
                self._changed.notify_all()


class _Transaction:
    """Reader and writer over one LMDB transaction."""

    def __init__(self, transaction: lmdb.Transaction, tables: dict[Table, lmdb._Database]) -> None:
        self._transaction = transaction
        self._tables = tables

    def get(self, table: Table, key: bytes) -> bytes | None:
        value = self._transaction.get(key, db=self._tables[table])
        return None if value is None else bytes(value)

    def scan(
        self, table: Table, prefix: bytes = b"", *, reverse: bool = False, below: bytes | None = None
    ) -> Iterator[tuple[bytes, bytes]]:
        end = after_prefix(prefix)
        if below is not None and (end is None or below < end):
            end = below
        with self._transaction.cursor(db=self._tables[table]) as cursor:
            if reverse:
                found = cursor.prev() if end is not None and cursor.set_range(end) else cursor.last()
            else:
                found = cursor.set_range(prefix)
            while found:
                key = bytes(cursor.key())
                if not key.startswith(prefix) or (end is not None and key >= end):
                    return
                yield key, bytes(cursor.value())
                found = cursor.prev() if reverse else cursor.next()

    def put(self, table: Table, key: bytes, value: bytes) -> None:
        self._transaction.put(key, value, db=self._tables[table])

    def delete(self, table: Table, key: bytes) -> None:
        self._transaction.delete(key, db=self._tables[table])

    def clear(self, table: Table) -> None:
        self._transaction.drop(self._tables[table], delete=False)

    def announce(self, generation: int) -> None:
        """Nothing: those who wait look at the head."""


class LmdbStore:
    """A :class:`~recsys.control.store.Store` in a folder. Open it once in a process, and after forking."""

    def __init__(self, folder: Path, *, initial_map_bytes: int = INITIAL_MAP_BYTES) -> None:
        """Open or create the store (files are for the owner alone); raises :class:`ControlError` if it
        cannot."""
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._environment = lmdb.open(
                str(folder),
                map_size=initial_map_bytes,
                max_dbs=MAX_TABLES,
                max_readers=MAX_READERS,
                mode=FILE_MODE,
            )
            if is_truncated(self._environment):
                self._environment.close()
                raise CorruptStoreError(f"{folder}: data.mdb is truncated: restore it from a backup")
            self._watch = SizeWatch(folder / DATA_FILE)
            self._environment.reader_check()
            self._tables = {table: self._environment.open_db(table.encode()) for table in Table}
        except lmdb.CorruptedError as error:
            raise CorruptStoreError(f"{folder}: not a sound control store: {error}") from error
        except (lmdb.Error, OSError) as error:
            raise ControlError(f"{folder}: the control store cannot be opened: {error}") from error
        self._gate = _Gate()
        self._folder = folder

    @contextmanager
    def read(self) -> Iterator[_Transaction]:
        """Open a consistent view; see :meth:`recsys.control.store.Store.read`."""
        while True:
            with self._gate.shared():
                self._watch.check()
                try:
                    transaction = self._environment.begin()
                except lmdb.MapResizedError:
                    pass
                else:
                    with transaction:
                        yield _Transaction(transaction, self._tables)
                    return
            self._take_size_over()

    def update(self, change: Callable[[_Transaction], T]) -> T:
        """Run a change; see :meth:`recsys.control.store.Store.update`."""
        while True:
            try:
                with self._gate.shared():
                    self._watch.check()
                    with self._environment.begin(write=True) as transaction:
                        self._environment.reader_check()
                        return change(_Transaction(transaction, self._tables))
            except lmdb.MapFullError:
                self._grow()
            except lmdb.MapResizedError:
                self._take_size_over()
            except lmdb.Error as error:
                raise ControlError(f"the control store refused the change: {error}") from error

    def wait_for_change(self, known: int, timeout_s: float) -> int:
        """Return another generation or the same one; see
        :meth:`recsys.control.store.Store.wait_for_change`.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            with self.read() as reader:
                generation = read_head(reader).generation
            remaining_s = deadline - time.monotonic()
            if generation != known or remaining_s <= 0:
                return generation
            time.sleep(min(POLL_S, remaining_s))

    @contextmanager
    def try_lock(self, name: str) -> Iterator[bool]:
        """Hold a lock file; see :meth:`recsys.control.store.Store.try_lock`."""
        descriptor = os.open(self._folder / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True
        finally:
            os.close(descriptor)

    def backup(self, folder: Path) -> None:
        """Write a consistent, compact copy into ``folder``, which must not exist yet."""
        try:
            folder.mkdir(parents=True, mode=0o700)
            with self._gate.shared():
                self._watch.check()
                self._environment.copy(str(folder), compact=True)
            (folder / DATA_FILE).chmod(FILE_MODE)
        except (lmdb.Error, OSError) as error:
            raise ControlError(f"{folder}: the backup could not be written: {error}") from error

    def close(self) -> None:
        """Close the file once no transaction of this process is open."""
        with self._gate.exclusive():
            self._environment.close()

    @property
    def map_bytes(self) -> int:
        """The size of the map, in bytes: the most that the file can grow to before the map does."""
        return int(self._environment.info()["map_size"])

    def _grow(self) -> None:
        with self._gate.exclusive():
            size = self.map_bytes
            if size >= MAX_MAP_BYTES:
                raise ControlError(f"the control store has reached its largest size, {MAX_MAP_BYTES} bytes")
            self._environment.set_mapsize(min(2 * size, MAX_MAP_BYTES))

    def _take_size_over(self) -> None:
        with self._gate.exclusive():
            self._environment.set_mapsize(0)
