"""Tries rules before they are put: one request, ranked with the rules of now and with others."""

from __future__ import annotations

import msgspec

from recsys.contracts.admin import PreviewRequest
from recsys.contracts.documents import InvalidDocument, canonical_json, parse_json, version_of
from recsys.contracts.problems import ProblemCode
from recsys.contracts.rules import read_rules
from recsys.service.bodies import decode_body
from recsys.service.lists import Lists
from recsys.service.problems import ProblemError
from recsys.service.state import State
from recsys.service.transport import Request, Response, json_response


class AdminPreview:
    """The handler of ``rules/preview``."""

    def __init__(self, state: State, lists: Lists) -> None:
        self._state = state
        self._lists = lists
        self._decoder = msgspec.json.Decoder(PreviewRequest)

    def preview(self, request: Request) -> Response:
        """Rank a request twice. Nothing is stored, logged or counted."""
        body = decode_body(request, self._decoder)
        tenant = self._state.tenant(request.principal.tenant_id)
        try:
            document = parse_json(bytes(body.rules), "rules")
            rules = read_rules(document)
        except InvalidDocument as error:
            raise ProblemError(ProblemCode.INVALID_RULES, str(error)) from error
        now = tenant.snapshot(body.request.surface)
        tried = now.with_rules(rules, version_of(canonical_json(document)))
        changed = msgspec.structs.replace(tenant, snapshots={**tenant.snapshots, now.surface: tried})
        before, after = (
            msgspec.Raw(self._lists.try_out(body.request, one, request.principal, request.request_id))
            for one in (tenant, changed)
        )
        return json_response(200, _Encoded(before, after))


class _Encoded(msgspec.Struct, frozen=True):
    """A :class:`~recsys.contracts.admin.PreviewResponse` whose lists are encoded already."""

    before: msgspec.Raw
    after: msgspec.Raw
