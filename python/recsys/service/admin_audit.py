"""The audit trail over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from recsys.contracts.admin import DEFAULT_PAGE, MAX_PAGE, AuditPage, AuditRecord
from recsys.control.audit import AuditEntry
from recsys.control.plane import ControlPlane
from recsys.service.auth import EDITORS
from recsys.service.bodies import decode_query
from recsys.service.transport import Request, Response, json_response


class AuditQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """``before`` is a time, ``before_id`` the number of an entry: those older than it are returned."""

    limit: Annotated[int, Meta(ge=1, le=MAX_PAGE)] = DEFAULT_PAGE
    before: Annotated[datetime, Meta(tz=True)] | None = None
    before_id: Annotated[int, Meta(ge=1)] | None = None


class AdminAudit:
    """The handler of ``audit``."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane

    def show(self, request: Request) -> Response:
        """The newest entries, or those before a time or an entry."""
        query = decode_query(request, AuditQuery)
        entries = self._plane.audit_entries(
            request.principal.tenant_id, limit=query.limit + 1, before=query.before, before_id=query.before_id
        )
        shown = entries[: query.limit]
        # States may say more of a tenant's affairs than somebody who only looks should know.
        with_states = not request.principal.roles.isdisjoint(EDITORS)
        records = [_describe(entry, with_states=with_states) for entry in shown]
        next_id = shown[-1].number if len(entries) > len(shown) else None
        return json_response(200, AuditPage(records, next_id))


def _describe(entry: AuditEntry, *, with_states: bool) -> AuditRecord:
    return AuditRecord(
        id=entry.number,
        time=entry.time,
        actor=entry.actor,
        action=entry.action,
        subject=entry.subject,
        comment=entry.comment,
        hash=entry.hash,
        before=entry.before if with_states else None,
        after=entry.after if with_states else None,
    )
