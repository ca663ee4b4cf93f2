"""The audit trail: one entry for every change, each holding the hash of the one before.

The number of the last entry is the generation of the store: it grows by one with every change and with
nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime

import msgspec
from msgspec import Struct

from recsys.control.store import CorruptStoreError, Reader, Table, Writer

GENESIS = "0" * 64


class AuditEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """One change: who did what to which subject of which tenant. ``before`` and ``after`` name versions or
    states."""

    number: int
    time: datetime
    tenant: str
    actor: str
    action: str
    subject: str
    before: str | None
    after: str | None
    comment: str
    previous_hash: str
    hash: str = ""


def entry_hash(entry: AuditEntry) -> str:
    """Return the hex SHA-256 of the entry as canonical JSON without its own hash."""
    return hashlib.sha256(
        msgspec.json.encode(msgspec.structs.replace(entry, hash=""), order="deterministic")
    ).hexdigest()


def last_entry(reader: Reader) -> AuditEntry | None:
    """Return the newest entry, or ``None`` in an empty store."""
    return next(read_entries(reader), None)


def generation(reader: Reader) -> int:
    """Return the number of changes so far."""
    for key, _ in reader.scan(Table.AUDIT, reverse=True):
        return int.from_bytes(key)
    return 0


def append_entry(
    writer: Writer,
    *,
    time: datetime,
    tenant: str,
    actor: str,
    action: str,
    subject: str,
    before: str | None,
    after: str | None,
    comment: str = "",
) -> AuditEntry:
    """Add an entry to the chain and return it; called once in each change, inside its transaction."""
    last = last_entry(writer)
    open_entry = AuditEntry(
        number=1 if last is None else last.number + 1,
        time=time,
        tenant=tenant,
        actor=actor,
        action=action,
        subject=subject,
        before=before,
        after=after,
        comment=comment,
        previous_hash=GENESIS if last is None else last.hash,
    )
    entry = msgspec.structs.replace(open_entry, hash=entry_hash(open_entry))
    writer.put(Table.AUDIT, entry.number.to_bytes(8), msgspec.json.encode(entry))
    return entry


def read_entries(reader: Reader, *, reverse: bool = True) -> Iterator[AuditEntry]:
    """Yield the entries, newest first unless ``reverse`` is false."""
    for key, value in reader.scan(Table.AUDIT, reverse=reverse):
        try:
            yield msgspec.json.decode(value, type=AuditEntry)
        except msgspec.MsgspecError as error:
            raise CorruptStoreError(f"audit entry {int.from_bytes(key)}: unreadable: {error}") from error


def verify_chain(reader: Reader) -> int:
    """Return the number of entries; raises :class:`CorruptStoreError` naming the first that breaks the
    chain."""
    number, previous = 0, GENESIS
    for entry in read_entries(reader, reverse=False):
        number += 1
        if entry.number != number:
            raise CorruptStoreError(f"audit entry {number}: missing, {entry.number} stands in its place")
        if entry.previous_hash != previous:
            raise CorruptStoreError(f"audit entry {number}: does not follow the entry before it")
        if entry.hash != entry_hash(entry):
            raise CorruptStoreError(f"audit entry {number}: its content does not match its hash")
        previous = entry.hash
    return number


def entries_after(reader: Reader, number: int) -> list[AuditEntry]:
    """Return the entries after entry ``number``, oldest first, without their comments: what has changed."""
    found: list[AuditEntry] = []
    while (value := reader.get(Table.AUDIT, (number + len(found) + 1).to_bytes(8))) is not None:
        found.append(msgspec.json.decode(value, type=AuditEntry))
    return found
