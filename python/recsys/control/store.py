"""The small interface that the control plane stands on: ordered tables, snapshot reads, and serial updates.

An update is a function of a :class:`Writer`. A store may run it again (after its file has grown, or when a
server asks
to retry), so it must depend on nothing but the writer and have no other effect.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

from recsys.contracts.errors import RecsysError

T = TypeVar("T")


class ControlError(RecsysError):
    """Something the control plane refuses or cannot do; the message says what and for which tenant."""


class NotFoundError(ControlError):
    """The tenant, document, version or key does not exist."""


class VersionMismatchError(ControlError):
    """The document has changed since the caller read it: ``expected`` and ``current`` are versions or
    ``None``."""

    def __init__(self, subject: str, expected: str | None, current: str | None) -> None:
        super().__init__(
            f"{subject}: expected version {expected or 'none'}, the current is {current or 'none'}"
        )
        self.expected = expected
        self.current = current


class CorruptStoreError(ControlError):
    """The store contradicts itself: the message names the table and the entry."""


class StoreUnavailableError(ControlError):
    """The store cannot be reached or does not answer now. What was read from it before still holds."""


class Table(StrEnum):
    """The tables, each a map of bytes to bytes in byte order of the keys."""

    TENANTS = "tenants"
    KEYS = "keys"
    KEY_USES = "key_uses"
    DOCUMENTS = "documents"
    REVISIONS = "revisions"
    POINTERS = "pointers"
    AUDIT = "audit"
    AUDIT_BY_TENANT = "audit_by_tenant"
    AUDIT_PAYLOADS = "audit_payloads"
    HEADS = "heads"
    ROW_SETS = "row_sets"
    ROW_CHUNKS = "row_chunks"
    ROW_RELEASES = "row_releases"
    RELEASE_MOVES = "release_moves"


class Head(NamedTuple):
    """Where the audit trail ends: the number of its last entry, which is the generation, and its hash
    (hex).
    """

    generation: int
    hash: str


_HEAD_KEY = b"audit"
EMPTY_HEAD = Head(0, "0" * 64)


class Reader(Protocol):
    """One consistent view of all tables."""

    def get(self, table: Table, key: bytes) -> bytes | None:
        """Return the value of ``key``, or ``None``."""

    def scan(
        self, table: Table, prefix: bytes = b"", *, reverse: bool = False, below: bytes | None = None
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield the entries whose keys start with ``prefix``, in byte order or against it.

        With ``below``, only those with smaller keys; the way there costs nothing.
        """


class Writer(Reader, Protocol):
    """A view that sees its own writes; they become visible to others all at once, or not at all."""

    def put(self, table: Table, key: bytes, value: bytes) -> None:
        """Set ``key`` to ``value``."""

    def delete(self, table: Table, key: bytes) -> None:
        """Remove ``key``; nothing happens when it is not there."""

    def clear(self, table: Table) -> None:
        """Remove all keys of a table."""

    def announce(self, generation: int) -> None:
        """Wake those who wait for a change, once this one is there."""


class Store(Protocol):
    """Tables with transactions. Reads never wait for writers; writers wait for each other.

    Every method raises :class:`StoreUnavailableError` when the store cannot be reached.
    """

    def read(self) -> AbstractContextManager[Reader]:
        """Open a consistent view for the length of a ``with`` block; it must not contain an update."""

    def update(self, change: Callable[[Writer], T]) -> T:
        """Run ``change`` in one transaction and return its result once that is durable; an error undoes
        all."""

    def wait_for_change(self, known: int, timeout_s: float) -> int:
        """Return the generation, as soon as it is another than ``known`` or when the time is over.

        It may be called often: without a change it costs no query, or a very small one.
        """

    def try_lock(self, name: str) -> AbstractContextManager[bool]:
        """Hold a lock among all processes for the length of a ``with`` block; gives whether it is held.

        It does not wait. A process that ends, however it does, gives its locks back.
        """

    def backup(self, folder: Path) -> None:
        """Write a consistent copy into a new folder, as an LMDB store, while others read and write."""

    def close(self) -> None:
        """Release the store; nothing may be used afterwards."""


class NoNesting:
    """Refuses a transaction inside another one of the same thread, which would wait for itself."""

    def __init__(self) -> None:
        self._mine = threading.local()

    @contextmanager
    def enter(self) -> Iterator[None]:
        """Count as inside a transaction; raises :class:`ControlError` when this thread is in one."""
        if getattr(self._mine, "inside", False):
            raise ControlError("a control store transaction cannot be opened inside another one")
        self._mine.inside = True
        try:
            yield
        finally:
            self._mine.inside = False


def read_head(reader: Reader) -> Head:
    """Return where the audit trail ends; of an empty store, :data:`EMPTY_HEAD`."""
    value = reader.get(Table.HEADS, _HEAD_KEY)
    return EMPTY_HEAD if value is None else Head(int.from_bytes(value[:8]), value[8:].hex())


def write_head(writer: Writer, head: Head) -> None:
    """Remember where the audit trail ends, and announce the generation."""
    writer.put(Table.HEADS, _HEAD_KEY, head.generation.to_bytes(8) + bytes.fromhex(head.hash))
    writer.announce(head.generation)


def after_prefix(prefix: bytes) -> bytes | None:
    """Return the first key after all that start with ``prefix``, ``None`` when there is no such bound."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes([stem[-1] + 1]) if stem else None
