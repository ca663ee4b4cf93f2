"""Tells every worker of the installation to read and compile a tenant anew."""

from __future__ import annotations

import msgspec

from recsys.contracts.admin import InvalidateRequest, InvalidateResponse
from recsys.contracts.problems import ProblemCode
from recsys.service.bodies import decode_body
from recsys.service.problems import ProblemError
from recsys.service.state import State
from recsys.service.transport import Request, Response, json_response
from recsys.service.watcher import INVALIDATE_ACTION


class AdminCache:
    """The handler of ``cache/invalidate``."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._decoder = msgspec.json.Decoder(InvalidateRequest)

    def invalidate(self, request: Request) -> Response:
        """Have all surfaces, or one, compiled anew from what store and registry have now."""
        body = decode_body(request, self._decoder, ProblemCode.INVALID_TARGETS)
        tenant = self._state.tenant(request.principal.tenant_id)
        if body.surface is not None and not tenant.has_surface(body.surface):
            raise ProblemError(
                ProblemCode.INVALID_TARGETS, f"surface: tenant {tenant.name!r} has no {body.surface!r}"
            )
        targets = list(dict.fromkeys(body.targets))
        place = "" if body.surface is None else f" of {body.surface}"
        entry = self._state.plane.record_change(
            tenant.name,
            action=INVALIDATE_ACTION,
            subject=", ".join(targets) + place,
            before=None,
            after=None,
            actor=request.principal.subject,
        )
        return json_response(200, InvalidateResponse(targets, body.surface, entry.number))
