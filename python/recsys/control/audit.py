"""The audit trail: one entry for every change, each holding the hash of the one before.

The number of the last entry is the generation of the store: it grows by one with every change and with
nothing else. The store's head holds that number and the last hash, so a trail that was cut short is found.

What people wrote (the comment) lies beside the entry, as a payload. The entry has a digest of it, salted
with a nonce, so that a payload can be erased without breaking the chain; the entry of the erasure vouches
for the gap.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from datetime import datetime

import msgspec
from msgspec import Struct

from recsys.control.store import (
    EMPTY_HEAD,
    CorruptStoreError,
    Head,
    Reader,
    Table,
    Writer,
    read_head,
    write_head,
)

ERASE_ACTION = "user.erase"


class AuditEntry(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One change: who did what to which subject of which tenant. ``before`` and ``after`` name versions or
    states. ``comment`` comes from the payload; ``is_erased`` tells that it was erased.
    """

    number: int
    time: datetime
    tenant: str
    actor: str
    action: str
    subject: str
    before: str | None
    after: str | None
    previous_hash: str
    payload_digest: str = ""
    hash: str = ""
    comment: str = ""
    is_erased: bool = False


class AuditPayload(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The free text of an entry, or in its place the number of the entry of its erasure."""

    nonce: str = ""
    comment: str = ""
    erased_by: int | None = None


def entry_hash(entry: AuditEntry) -> str:
    """Return the hex SHA-256 of the entry as canonical JSON, without its own hash and its payload."""
    bare = msgspec.structs.replace(entry, hash="", comment="", is_erased=False)
    return hashlib.sha256(msgspec.json.encode(bare, order="deterministic")).hexdigest()


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
    head = read_head(writer)
    number = head.generation + 1
    if writer.get(Table.AUDIT, number.to_bytes(8)) is not None:
        raise CorruptStoreError(f"audit entry {number}: stands after the end of the trail")
    payload = AuditPayload(secrets.token_hex(16), comment) if comment else None
    entry = AuditEntry(
        number=number,
        time=time,
        tenant=tenant,
        actor=actor,
        action=action,
        subject=subject,
        before=before,
        after=after,
        previous_hash=head.hash,
        payload_digest="" if payload is None else _payload_digest(payload),
    )
    entry = msgspec.structs.replace(entry, hash=entry_hash(entry))
    key = number.to_bytes(8)
    writer.put(Table.AUDIT, key, msgspec.json.encode(entry))
    writer.put(Table.AUDIT_BY_TENANT, _tenant_prefix(tenant) + key, b"")
    if payload is not None:
        writer.put(Table.AUDIT_PAYLOADS, key, msgspec.json.encode(payload))
    write_head(writer, Head(number, entry.hash))
    return msgspec.structs.replace(entry, comment=comment)


def tenant_entries(
    reader: Reader, tenant: str, *, before: datetime | None = None, before_id: int | None = None
) -> Iterator[AuditEntry]:
    """Yield the entries of a tenant, newest first: older than ``before``, with numbers below ``before_id``.

    The entries of other tenants cost nothing.
    """
    prefix = _tenant_prefix(tenant)
    below = None if before_id is None else prefix + max(0, min(before_id, 2**63)).to_bytes(8)
    for key, _ in reader.scan(Table.AUDIT_BY_TENANT, prefix, reverse=True, below=below):
        entry = _entry(reader, key[-8:])
        if before is None or entry.time < before or (before_id is not None and entry.time == before):
            yield entry


def erase_text(writer: Writer, tenant: str, text: str) -> int:
    """Erase every payload of a tenant that holds ``text`` and return how many there were.

    The caller adds the entry with :data:`ERASE_ACTION` as the next one of the same transaction.
    """
    erased = msgspec.json.encode(AuditPayload(erased_by=read_head(writer).generation + 1))
    keys = [
        entry.number.to_bytes(8) for entry in tenant_entries(writer, tenant) if text in entry.comment.lower()
    ]
    for key in keys:
        writer.put(Table.AUDIT_PAYLOADS, key, erased)
    return len(keys)


def verify_chain(reader: Reader) -> int:
    """Return the number of entries; raises :class:`CorruptStoreError` naming the first that is wrong."""
    number, previous = 0, EMPTY_HEAD.hash
    for key, value in reader.scan(Table.AUDIT):
        number += 1
        entry = _decode(key, value)
        if entry.number != number:
            raise CorruptStoreError(f"audit entry {number}: missing, {entry.number} stands in its place")
        if entry.previous_hash != previous:
            raise CorruptStoreError(f"audit entry {number}: does not follow the entry before it")
        if entry.hash != entry_hash(entry):
            raise CorruptStoreError(f"audit entry {number}: its content does not match its hash")
        if reader.get(Table.AUDIT_BY_TENANT, _tenant_prefix(entry.tenant) + key) is None:
            raise CorruptStoreError(f"audit entry {number}: missing in the list of tenant {entry.tenant!r}")
        _check_payload(reader, key, entry)
        previous = entry.hash
    head = read_head(reader)
    if head != (number, previous):
        raise CorruptStoreError(
            f"the audit trail ends at entry {number}, but the head of the store stands at {head.generation}"
        )
    return number


def entries_after(reader: Reader, number: int) -> list[AuditEntry]:
    """Return the entries after entry ``number``, oldest first, without their comments: what has changed."""
    found: list[AuditEntry] = []
    while (value := reader.get(Table.AUDIT, key := (number + len(found) + 1).to_bytes(8))) is not None:
        found.append(_decode(key, value))
    return found


def _check_payload(reader: Reader, key: bytes, entry: AuditEntry) -> None:
    if not entry.payload_digest:
        return
    payload = _payload(reader, key)
    if payload.erased_by is None:
        if _payload_digest(payload) != entry.payload_digest:
            raise CorruptStoreError(f"audit entry {entry.number}: its comment does not match its digest")
        return
    found = reader.get(Table.AUDIT, payload.erased_by.to_bytes(8))
    eraser = None if found is None else _decode(payload.erased_by.to_bytes(8), found)
    if eraser is None or eraser.action != ERASE_ACTION or eraser.tenant != entry.tenant:
        raise CorruptStoreError(f"audit entry {entry.number}: its comment is gone, and no erasure says why")


def _tenant_prefix(tenant: str) -> bytes:
    return tenant.encode() + b"\0"


def _entry(reader: Reader, key: bytes) -> AuditEntry:
    value = reader.get(Table.AUDIT, key)
    if value is None:
        raise CorruptStoreError(f"audit entry {int.from_bytes(key)}: missing")
    entry = _decode(key, value)
    if not entry.payload_digest:
        return entry
    payload = _payload(reader, key)
    return msgspec.structs.replace(entry, comment=payload.comment, is_erased=payload.erased_by is not None)


def _decode(key: bytes, value: bytes) -> AuditEntry:
    try:
        return msgspec.json.decode(value, type=AuditEntry)
    except msgspec.MsgspecError as error:
        raise CorruptStoreError(f"audit entry {int.from_bytes(key)}: unreadable: {error}") from error


def _payload(reader: Reader, key: bytes) -> AuditPayload:
    value = reader.get(Table.AUDIT_PAYLOADS, key)
    if value is None:
        raise CorruptStoreError(f"audit entry {int.from_bytes(key)}: its comment is missing")
    try:
        return msgspec.json.decode(value, type=AuditPayload)
    except msgspec.MsgspecError as error:
        raise CorruptStoreError(f"audit entry {int.from_bytes(key)}: unreadable comment: {error}") from error


def _payload_digest(payload: AuditPayload) -> str:
    return hashlib.sha256(msgspec.json.encode(payload, order="deterministic")).hexdigest()
