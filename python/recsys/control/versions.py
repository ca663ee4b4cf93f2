"""Versions of a tenant's documents: immutable content, a history of revisions, and a pointer to the current
one.

A version is the SHA-256 of a document's canonical bytes. Putting a document adds a revision, which
remembers the
revision that was current before it; rolling back follows that memory, so it undoes what was put last,
whatever was
rolled back in between. Before the first revision there is what is built in, the empty document. Revisions and
documents are never changed or removed.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Literal

import msgspec
from msgspec import Struct

from recsys.contracts.config import read_config
from recsys.contracts.documents import canonical_json, etag_of, parse_json, version_of
from recsys.contracts.experiments import read_experiments
from recsys.contracts.rules import read_rules
from recsys.control.audit import append_entry
from recsys.control.store import (
    CorruptStoreError,
    NotFoundError,
    Reader,
    Table,
    VersionMismatchError,
    Writer,
)
from recsys.control.tenants import find_tenant, tenant_key

DocumentKind = Literal["config", "rules", "experiments"]
KINDS: tuple[DocumentKind, ...] = ("config", "rules", "experiments")
_BUILT_IN: dict[DocumentKind, bytes] = {"config": b"{}", "rules": b"[]", "experiments": b"{}"}


class Revision(Struct, frozen=True, forbid_unknown_fields=True):
    """One ``put``: which version, by whom, why, when (with a zone), and the revision it took over from."""

    number: int
    version: str
    author: str
    comment: str
    time: datetime
    parent: int | None

    @property
    def etag(self) -> str:
        """The quoted entity tag of the document."""
        return etag_of(self.version)


class StoredDocument(Struct, frozen=True):
    """A document as it was put, in canonical JSON, with the revision that is current."""

    revision: Revision
    data: bytes


def check_document(kind: DocumentKind, data: bytes) -> bytes:
    """Return the canonical bytes of a document; raises ``InvalidDocument`` naming the field that is wrong."""
    value = parse_json(data, kind)
    if kind == "config":
        read_config(value)
    elif kind == "rules":
        read_rules(value)
    else:
        read_experiments(value)
    return canonical_json(value)


def current_revision(reader: Reader, tenant_id: str, kind: DocumentKind) -> Revision | None:
    """Return the current revision, or ``None`` when no document was put yet."""
    number = reader.get(Table.POINTERS, _prefix(tenant_id, kind))
    return None if number is None else _revision(reader, tenant_id, kind, int.from_bytes(number))


def current_document(reader: Reader, tenant_id: str, kind: DocumentKind) -> StoredDocument:
    """Return the current document; raises :class:`NotFoundError` when the tenant or the document is
    missing."""
    find_tenant(reader, tenant_id)
    revision = current_revision(reader, tenant_id, kind)
    if revision is None:
        raise NotFoundError(f"tenant {tenant_id!r} has no {kind} document")
    return StoredDocument(revision, _content(reader, revision.version))


def document_of_version(reader: Reader, tenant_id: str, kind: DocumentKind, version: str) -> StoredDocument:
    """Return a document of the history by its version; raises :class:`NotFoundError`."""
    revision = _find_version(reader, tenant_id, kind, version)
    return StoredDocument(revision, _content(reader, revision.version))


def list_revisions(reader: Reader, tenant_id: str, kind: DocumentKind) -> Iterator[Revision]:
    """Yield the history, newest first; raises :class:`NotFoundError` for an unknown tenant."""
    find_tenant(reader, tenant_id)
    for _, value in reader.scan(Table.REVISIONS, _prefix(tenant_id, kind), reverse=True):
        yield msgspec.json.decode(value, type=Revision)


def put_document(
    writer: Writer,
    tenant_id: str,
    kind: DocumentKind,
    canonical: bytes,
    *,
    author: str,
    comment: str,
    time: datetime,
    expected: str | None = None,
) -> Revision:
    """Make a checked document current and return its revision; the same content as the current changes
    nothing.

    Raises :class:`VersionMismatchError` when ``expected`` is given and is not the current version.
    """
    find_tenant(writer, tenant_id)
    current = _expect(writer, tenant_id, kind, expected)
    version = version_of(canonical)
    if current is not None and current.version == version:
        return current
    revision = _add_revision(
        writer,
        tenant_id,
        kind,
        canonical,
        author=author,
        comment=comment,
        time=time,
        parent=None if current is None else current.number,
    )
    _point(
        writer,
        tenant_id,
        kind,
        before=current,
        after=revision,
        action="put",
        author=author,
        comment=comment,
        time=time,
    )
    return revision


def roll_back(
    writer: Writer,
    tenant_id: str,
    kind: DocumentKind,
    *,
    author: str,
    comment: str,
    time: datetime,
    to: str | None = None,
    expected: str | None = None,
) -> Revision:
    """Make an earlier revision current and return it: the one before, or the latest with version ``to``.

    Before the first is what is built in: the empty document, which becomes a revision without a parent.
    Raises :class:`NotFoundError` when there is none, :class:`VersionMismatchError` as :func:`put_document`.
    """
    find_tenant(writer, tenant_id)
    current = _expect(writer, tenant_id, kind, expected)
    if current is None:
        raise NotFoundError(f"tenant {tenant_id!r} has no {kind} document to roll back")
    if to is not None:
        target = _find_version(writer, tenant_id, kind, to)
    elif current.parent is not None:
        target = _revision(writer, tenant_id, kind, current.parent)
    elif current.version == version_of(_BUILT_IN[kind]):
        raise NotFoundError(
            f"tenant {tenant_id!r}: there is no {kind} version before {current.version}, the empty document"
        )
    else:
        target = _add_revision(
            writer,
            tenant_id,
            kind,
            _BUILT_IN[kind],
            author=author,
            comment=comment,
            time=time,
            parent=None,
        )
    if target.number != current.number:
        _point(
            writer,
            tenant_id,
            kind,
            before=current,
            after=target,
            action="rollback",
            author=author,
            comment=comment,
            time=time,
        )
    return target


def _add_revision(
    writer: Writer,
    tenant_id: str,
    kind: DocumentKind,
    canonical: bytes,
    *,
    author: str,
    comment: str,
    time: datetime,
    parent: int | None,
) -> Revision:
    newest = next(list_revisions(writer, tenant_id, kind), None)
    revision = Revision(
        number=1 if newest is None else newest.number + 1,
        version=version_of(canonical),
        author=author,
        comment=comment,
        time=time,
        parent=parent,
    )
    writer.put(Table.DOCUMENTS, revision.version.encode(), canonical)
    writer.put(
        Table.REVISIONS,
        _prefix(tenant_id, kind) + revision.number.to_bytes(8),
        msgspec.json.encode(revision),
    )
    return revision


def verify_documents(reader: Reader) -> int:
    """Return the number of documents; raises :class:`CorruptStoreError` if content, history or a pointer
    is wrong."""
    documents = 0
    for key, data in reader.scan(Table.DOCUMENTS):
        documents += 1
        if version_of(data) != key.decode():
            raise CorruptStoreError(f"document {key.decode()}: its content does not match its version")
    for key, value in reader.scan(Table.REVISIONS):
        revision = msgspec.json.decode(value, type=Revision)
        if reader.get(Table.DOCUMENTS, revision.version.encode()) is None:
            raise CorruptStoreError(f"revision {key!r}: its document {revision.version} is missing")
    for key, number in reader.scan(Table.POINTERS):
        if reader.get(Table.REVISIONS, key + number) is None:
            raise CorruptStoreError(f"pointer {key!r}: its revision is missing")
    return documents


def _prefix(tenant_id: str, kind: DocumentKind) -> bytes:
    return tenant_key(tenant_id) + b"\0" + kind.encode() + b"\0"


def _revision(reader: Reader, tenant_id: str, kind: DocumentKind, number: int) -> Revision:
    value = reader.get(Table.REVISIONS, _prefix(tenant_id, kind) + number.to_bytes(8))
    if value is None:
        raise CorruptStoreError(f"tenant {tenant_id!r}: {kind} revision {number} is missing")
    return msgspec.json.decode(value, type=Revision)


def _content(reader: Reader, version: str) -> bytes:
    data = reader.get(Table.DOCUMENTS, version.encode())
    if data is None:
        raise CorruptStoreError(f"document {version} is missing")
    return data


def _find_version(reader: Reader, tenant_id: str, kind: DocumentKind, version: str) -> Revision:
    for revision in list_revisions(reader, tenant_id, kind):
        if revision.version == version:
            return revision
    raise NotFoundError(f"tenant {tenant_id!r} has no {kind} version {version}")


def _expect(reader: Reader, tenant_id: str, kind: DocumentKind, expected: str | None) -> Revision | None:
    current = current_revision(reader, tenant_id, kind)
    version = None if current is None else current.version
    if expected is not None and expected != version:
        raise VersionMismatchError(f"{kind} of tenant {tenant_id!r}", expected, version)
    return current


def _point(
    writer: Writer,
    tenant_id: str,
    kind: DocumentKind,
    *,
    before: Revision | None,
    after: Revision,
    action: Literal["put", "rollback"],
    author: str,
    comment: str,
    time: datetime,
) -> None:
    writer.put(Table.POINTERS, _prefix(tenant_id, kind), after.number.to_bytes(8))
    append_entry(
        writer,
        time=time,
        tenant=tenant_id,
        actor=author,
        action=f"{kind}.{action}",
        subject=kind,
        before=None if before is None else before.version,
        after=after.version,
        comment=comment,
    )
