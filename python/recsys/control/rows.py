"""Rows of DB-only mode in the store: sets of rows, each replaced as a whole, and the release made from them.

A set is the rows of one kind, surface, segment and day (a catalog has neither segment nor day, and may be
for all surfaces). What a row is, this module does not know: a set's content is a few chunks of bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from datetime import date, datetime

import msgspec
from msgspec import Struct

from recsys.contracts.rows import RowKind
from recsys.control.store import CorruptStoreError, Reader, Table, Writer
from recsys.control.tenants import tenant_key

ROW_KINDS: tuple[RowKind, ...] = ("catalog", "popularity", "cooc")


class RowSetName(Struct, frozen=True, order=True):
    """Which rows a set holds. ``surface`` is ``None`` for a catalog of all surfaces."""

    kind: RowKind
    surface: str | None = None
    segment: str | None = None
    day: date | None = None


class RowSet(Struct, frozen=True):
    """A set as it was loaded last; ``sha256`` is that of its content."""

    name: RowSetName
    rows: int
    chunks: int
    sha256: str
    loaded_at: datetime


class RowRelease(Struct, frozen=True):
    """What became of a surface's rows: the release made from the rows and settings that ``recipe`` digests.

    ``versions`` are those of all releases that were made from rows, newest last. ``error`` tells why the
    newest recipe gave none.
    """

    surface: str
    recipe: str
    made_at: datetime
    versions: tuple[str, ...] = ()
    error: str | None = None


def list_row_sets(reader: Reader, tenant_id: str) -> list[RowSet]:
    """Return the sets of a tenant, in order of their names."""
    found = [
        msgspec.json.decode(value, type=RowSet)
        for _, value in reader.scan(Table.ROW_SETS, tenant_key(tenant_id) + b"\0")
    ]
    return sorted(found, key=_order)


def find_row_set(reader: Reader, tenant_id: str, name: RowSetName) -> RowSet | None:
    """Return a set, or ``None``."""
    value = reader.get(Table.ROW_SETS, _key(tenant_id, name))
    return None if value is None else msgspec.json.decode(value, type=RowSet)


def read_chunks(reader: Reader, tenant_id: str, found: RowSet) -> Iterator[bytes]:
    """Yield the content of a set."""
    for number in range(found.chunks):
        data = reader.get(Table.ROW_CHUNKS, _chunk_key(tenant_id, found.name, number))
        if data is None:
            raise CorruptStoreError(f"rows {found.name} of tenant {tenant_id!r}: chunk {number} is missing")
        yield data


def put_row_set(
    writer: Writer, tenant_id: str, name: RowSetName, chunks: Sequence[bytes], *, rows: int, time: datetime
) -> bool:
    """Replace a set and return whether that changed anything; without chunks the set is removed."""
    before = find_row_set(writer, tenant_id, name)
    after = RowSet(name, rows, len(chunks), _digest(chunks), time)
    if before is not None and before.sha256 == after.sha256:
        return False
    for number in range(len(chunks), 0 if before is None else before.chunks):
        writer.delete(Table.ROW_CHUNKS, _chunk_key(tenant_id, name, number))
    if not chunks:
        writer.delete(Table.ROW_SETS, _key(tenant_id, name))
        return before is not None
    for number, chunk in enumerate(chunks):
        writer.put(Table.ROW_CHUNKS, _chunk_key(tenant_id, name, number), chunk)
    writer.put(Table.ROW_SETS, _key(tenant_id, name), msgspec.json.encode(after))
    return True


def find_row_release(reader: Reader, tenant_id: str, surface: str) -> RowRelease | None:
    """Return what became of a surface's rows, or ``None`` when nothing was made of them yet."""
    value = reader.get(Table.ROW_RELEASES, _release_key(tenant_id, surface))
    return None if value is None else msgspec.json.decode(value, type=RowRelease)


def put_row_release(writer: Writer, tenant_id: str, release: RowRelease) -> None:
    """Remember what became of a surface's rows."""
    writer.put(Table.ROW_RELEASES, _release_key(tenant_id, release.surface), msgspec.json.encode(release))


def verify_rows(reader: Reader) -> int:
    """Return the number of sets; raises :class:`CorruptStoreError` for one whose content is not its own."""
    sets = chunks = 0
    for key, value in reader.scan(Table.ROW_SETS):
        found = msgspec.json.decode(value, type=RowSet)
        tenant_id = key.partition(b"\0")[0].decode()
        if key != _key(tenant_id, found.name):
            raise CorruptStoreError(f"rows {found.name} of tenant {tenant_id!r}: not where they belong")
        if _digest(list(read_chunks(reader, tenant_id, found))) != found.sha256:
            raise CorruptStoreError(f"rows {found.name} of tenant {tenant_id!r}: not what was loaded")
        sets += 1
        chunks += found.chunks
    if chunks != sum(1 for _ in reader.scan(Table.ROW_CHUNKS)):
        raise CorruptStoreError("there are chunks of rows that belong to no set")
    return sets


def _order(found: RowSet) -> tuple[str, str, str, date]:
    name = found.name
    return (name.kind, name.surface or "", name.segment or "", name.day or date.min)


def _digest(chunks: Sequence[bytes]) -> str:
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(len(chunk).to_bytes(8))
        digest.update(chunk)
    return digest.hexdigest()


def _key(tenant_id: str, name: RowSetName) -> bytes:
    # Surface and segment may be too long for a key; their digest is not.
    where = hashlib.sha256(msgspec.json.encode((name.surface, name.segment))).digest()[:16]
    day = "" if name.day is None else name.day.isoformat()
    return tenant_key(tenant_id) + b"\0" + name.kind.encode() + b"\0" + where + day.encode()


def _chunk_key(tenant_id: str, name: RowSetName, number: int) -> bytes:
    return _key(tenant_id, name) + b"\0" + number.to_bytes(4)


def _release_key(tenant_id: str, surface: str) -> bytes:
    return tenant_key(tenant_id) + b"\0" + hashlib.sha256(surface.encode()).digest()[:16]
