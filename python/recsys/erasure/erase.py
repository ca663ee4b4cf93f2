"""Erasing one user of a tenant everywhere, and the audit entry that says so without naming the user."""

from __future__ import annotations

import hmac
import re
from pathlib import Path

from msgspec import Struct

from recsys.artifacts.registry import Registry
from recsys.contracts.errors import UsageError
from recsys.control.audit import ERASE_ACTION, append_entry, erase_text
from recsys.control.plane import ControlPlane
from recsys.control.release_moves import erase_pending_text
from recsys.control.store import Writer
from recsys.control.tenants import find_tenant
from recsys.erasure.signals import ErasedSignals, erase_from_signals
from recsys.eventlog.erasing import erase_live
from recsys.eventlog.retention import Erased, erase_compacted

_PSEUDONYM = re.compile(r"[0-9a-f]{64}")


class Erasure(Struct, frozen=True):
    """What left: log records, user-keyed signals, audit comments. ``subject`` names the user in the audit
    trail.
    """

    subject: str
    live: Erased
    compacted: Erased
    signals: ErasedSignals
    comments: int
    audit_entry: int


def erased_subject(salt: bytes, pseudonym: str) -> str:
    """Return how an erasure names its user: a keyed digest, which whoever has the pseudonym can compare."""
    digest = hmac.digest(salt, b"recsys erasure\0" + pseudonym.encode(), "sha256").hex()
    return f"user erased:{digest[:32]}"


def erase_user(
    plane: ControlPlane,
    registry: Registry,
    data_dir: Path,
    tenant_id: str,
    pseudonym: str,
    *,
    actor: str,
    shipped_to: str | None = None,
) -> Erasure:
    """Remove a user from the logs of this data folder, all releases, and audit comments; return what was
    removed.

    ``shipped_to`` is the URL of shipped logs without receipts here. Takes seconds, off the request path.
    What was removed before an error stays removed; running it again does the rest, and only then the entry
    is written. Raises :class:`UsageError` for what is no pseudonym, ``NotFoundError`` for an unknown
    tenant, and what logs and registry raise.
    """
    if not _PSEUDONYM.fullmatch(pseudonym):
        raise UsageError(f"pseudonym {pseudonym[:80]!r}: give 64 hexadecimal digits in lower case")
    salt = plane.tenant(tenant_id).salt
    logs = data_dir / "logs"
    live = erase_live(logs, tenant_id, pseudonym)
    compacted = erase_compacted(logs, tenant_id, pseudonym, url=shipped_to)
    signals = erase_from_signals(registry, tenant_id, pseudonym, scratch=data_dir / "cache" / "erasure")
    subject = erased_subject(salt, pseudonym)

    def change(writer: Writer) -> Erasure:
        find_tenant(writer, tenant_id)
        comments = erase_text(writer, tenant_id, pseudonym)
        comments += erase_pending_text(writer, tenant_id, pseudonym)
        entry = append_entry(
            writer,
            time=plane.now(),
            tenant=tenant_id,
            actor=actor,
            action=ERASE_ACTION,
            subject=subject,
            before=None,
            after=None,
            comment=(
                f"{live.records + compacted.records} log records, {signals.artifacts} signals, "
                f"{comments} comments"
            ),
        )
        return Erasure(subject, live, compacted, signals, comments, entry.number)

    return plane.update(change)
