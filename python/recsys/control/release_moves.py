"""Moves of release pointers in the audit trail: none is without its entry, whenever who makes it is killed.

A pointer lies in a registry and the trail in the store, and no transaction spans both. So what is about to
be done is written down first; then the pointer moves; then the entry takes the place of what was written
down. A move that was stopped between the last two is entered by whoever looks next, in the name of who made
it. One that was stopped before the pointer moved leaves a note without effect, and the next move from there
clears it.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from recsys.artifacts.errors import PublishConflictError
from recsys.artifacts.registry import Moving, Registry
from recsys.control.audit import AuditEntry, append_entry
from recsys.control.store import ControlError, CorruptStoreError, Reader, Table, Writer
from recsys.control.tenants import tenant_key

if TYPE_CHECKING:
    from recsys.control.plane import ControlPlane


class PendingMove(Struct, frozen=True):
    """A pointer that is about to move from version ``before`` to ``after``, and what its entry will say."""

    tenant: str
    surface: str
    before: str | None
    after: str
    actor: str
    action: str
    subject: str
    comment: str
    begun_at: datetime


def entering(
    plane: ControlPlane,
    tenant: str,
    surface: str,
    *,
    actor: str,
    action: str,
    comment: str = "",
    subject: str | None = None,
) -> Moving:
    """Return what a move of a surface's pointer goes through, so that the audit trail has it.

    ``subject`` is what the entry calls the surface (default: its name). The pointer does not move when the
    store refuses; when it does so afterwards, :class:`ControlError` says that the move is done.
    """

    @contextmanager
    def moving(before: str | None, after: str) -> Iterator[None]:
        move = PendingMove(
            tenant, surface, before, after, actor, action, subject or surface, comment, plane.now()
        )
        key = _prefix(tenant, surface) + secrets.token_bytes(16)
        plane.update(lambda writer: _begin(writer, key, move, plane.now()))
        try:
            yield
        except PublishConflictError:  # any other error leaves open whether the pointer has moved
            plane.update(lambda writer: writer.delete(Table.RELEASE_MOVES, key))
            raise
        try:
            plane.update(lambda writer: _finish(writer, key, move, plane.now()))
        except ControlError as error:
            raise ControlError(
                f"{action} of {after} for {tenant}/{surface} is done, but is missing from the audit trail; "
                f"the next command about these releases enters it: {error}"
            ) from error

    return moving


def settle_moves(plane: ControlPlane, registry: Registry, tenant: str, surface: str) -> AuditEntry | None:
    """Enter the move that has led to the current release, if whoever made it was stopped before the entry.

    Returns the entry, ``None`` when none was missing. Without moves in the making the registry is not asked.
    """
    with plane.read() as reader:
        if not _pending(reader, _prefix(tenant, surface)):
            return None
    current = registry.current(tenant, surface)
    if current is None:
        return None
    version = current.manifest.version
    return plane.update(lambda writer: _settle(writer, tenant, surface, version, plane.now()))


def pending_moves(plane: ControlPlane) -> list[PendingMove]:
    """Return the moves of all tenants that were begun, and neither entered nor cleared."""
    with plane.read() as reader:
        return list(_pending(reader, b"").values())


def erase_pending_text(writer: Writer, tenant: str, text: str) -> int:
    """Empty the comments that hold ``text`` of moves not yet entered, and return how many there were."""
    found = _pending(writer, tenant_key(tenant) + b"\0")
    keys = [key for key, move in found.items() if text in move.comment.lower()]
    for key in keys:
        _put(writer, key, msgspec.structs.replace(found[key], comment=""))
    return len(keys)


def verify_moves(reader: Reader) -> None:
    """Raise :class:`CorruptStoreError` for a move in the making that is unreadable."""
    _pending(reader, b"")


def _begin(writer: Writer, key: bytes, move: PendingMove, now: datetime) -> None:
    # Whoever moves from a version has read that the pointer is there.
    if move.before is not None:
        _settle(writer, move.tenant, move.surface, move.before, now)
    _put(writer, key, move)


def _finish(writer: Writer, key: bytes, move: PendingMove, now: datetime) -> None:
    if writer.get(Table.RELEASE_MOVES, key) is not None:  # else somebody has entered it
        _enter(writer, move, now, move.comment)


def _settle(writer: Writer, tenant: str, surface: str, current: str, now: datetime) -> AuditEntry | None:
    found = [move for move in _pending(writer, _prefix(tenant, surface)).values() if move.after == current]
    if not found:
        return None
    move = max(found, key=lambda one: one.begun_at)
    late = f"entered late: begun at {move.begun_at:%Y-%m-%d %H:%M:%S} UTC, and stopped before its entry"
    return _enter(writer, move, now, f"{move.comment}. {late}" if move.comment else late)


def _enter(writer: Writer, move: PendingMove, now: datetime, comment: str) -> AuditEntry:
    """Enter a move that was made; with it, no other one from the same version can have been made."""
    for key, other in _pending(writer, _prefix(move.tenant, move.surface)).items():
        if other.before == move.before or other.after == move.after:
            writer.delete(Table.RELEASE_MOVES, key)
    return append_entry(
        writer,
        time=now,
        tenant=move.tenant,
        actor=move.actor,
        action=move.action,
        subject=move.subject,
        before=move.before,
        after=move.after,
        comment=comment,
    )


def _prefix(tenant: str, surface: str) -> bytes:
    # A surface may be too long for a key; its digest is not.
    return tenant_key(tenant) + b"\0" + hashlib.sha256(surface.encode()).digest()[:16]


def _put(writer: Writer, key: bytes, move: PendingMove) -> None:
    writer.put(Table.RELEASE_MOVES, key, msgspec.json.encode(move))


def _pending(reader: Reader, prefix: bytes) -> dict[bytes, PendingMove]:
    try:
        return {
            key: msgspec.json.decode(value, type=PendingMove)
            for key, value in reader.scan(Table.RELEASE_MOVES, prefix)
        }
    except msgspec.MsgspecError as error:
        raise CorruptStoreError(f"a release move in the making is unreadable: {error}") from error
