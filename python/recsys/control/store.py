"""The small interface that the control plane stands on: ordered tables, snapshot reads, and serial updates.

An update is a function of a :class:`Writer`. A store may run it again (after its file has grown, or when a
server asks
to retry), so it must depend on nothing but the writer and have no other effect.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from enum import StrEnum
from pathlib import Path
from typing import Protocol, TypeVar

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


class Table(StrEnum):
    """The tables, each a map of bytes to bytes in byte order of the keys."""

    TENANTS = "tenants"
    KEYS = "keys"
    KEY_USES = "key_uses"
    DOCUMENTS = "documents"
    REVISIONS = "revisions"
    POINTERS = "pointers"
    AUDIT = "audit"


class Reader(Protocol):
    """One consistent view of all tables."""

    def get(self, table: Table, key: bytes) -> bytes | None:
        """Return the value of ``key``, or ``None``."""

    def scan(
        self, table: Table, prefix: bytes = b"", *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield the entries whose keys start with ``prefix``, in byte order or against it."""


class Writer(Reader, Protocol):
    """A view that sees its own writes; they become visible to others all at once, or not at all."""

    def put(self, table: Table, key: bytes, value: bytes) -> None:
        """Set ``key`` to ``value``."""


class Store(Protocol):
    """Tables with transactions. Reads never wait for writers; writers wait for each other."""

    def read(self) -> AbstractContextManager[Reader]:
        """Open a consistent view for the length of a ``with`` block; it must not contain an update."""

    def update(self, change: Callable[[Writer], T]) -> T:
        """Run ``change`` in one transaction and return its result once that is durable; an error undoes
        all."""

    def backup(self, folder: Path) -> None:
        """Write a consistent copy into a new folder while others read and write."""

    def close(self) -> None:
        """Release the store; nothing may be used afterwards."""
