"""``/v1/events``: outcomes, and exposures of clients that render lists themselves, into the logs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from importlib.resources import files

import msgspec

from recsys.contracts.events import MAX_EVENTS, RawEvents
from recsys.contracts.problems import ProblemCode
from recsys.eventlog.intake import UnsoundRecordError
from recsys.observability.metrics import Metrics
from recsys.service.bodies import decode_body
from recsys.service.pii import looks_personal
from recsys.service.problems import ProblemError
from recsys.service.state import State
from recsys.service.tenants import ServedTenant
from recsys.service.transport import Request, Response, json_response

RETRY_AFTER_S = 5
_SCRIPT_TYPE = "text/javascript; charset=utf-8"
_SCRIPT_HEADERS = [("cache-control", "public, max-age=3600")]


class Events:
    """The handlers of ``/v1/events`` and of the script that browsers send events with."""

    def __init__(self, state: State, metrics: Metrics) -> None:
        self._state = state
        self._metrics = metrics
        self._decoder = msgspec.json.Decoder(RawEvents)
        self._script = files("recsys.service").joinpath("browser_events.js").read_bytes()

    def take(self, request: Request) -> Response:
        """Write what is sound and new; every record is answered for by itself."""
        tenant = self._state.tenant(request.principal.tenant_id)
        events = decode_body(request, self._decoder)
        count = len(events.outcomes) + len(events.exposures)
        if count > MAX_EVENTS:
            raise ProblemError(
                ProblemCode.INVALID_REQUEST, f"{count} records; at most {MAX_EVENTS} are taken at once"
            )
        try:
            seen = self._state.seen if tenant.remembers_seen_items else None
            answer = self._state.events.take(
                tenant.name, events, _pseudonymiser(tenant), datetime.now(UTC), seen
            )
        except OSError as error:
            raise ProblemError(
                ProblemCode.OVERLOADED,
                f"the event log cannot be written: {error.strerror or error}; nothing of this batch counts",
                headers=[("retry-after", str(RETRY_AFTER_S))],
            ) from error
        self._metrics.count_events(tenant.name, "accepted", answer.accepted)
        self._metrics.count_events(tenant.name, "duplicates", answer.duplicates)
        self._metrics.count_events(tenant.name, "rejected", len(answer.rejected))
        return json_response(200, answer)

    def script(self, request: Request) -> Response:  # noqa: ARG002
        """The script for web pages."""
        return Response(200, self._script, _SCRIPT_TYPE, _SCRIPT_HEADERS)


def _pseudonymiser(tenant: ServedTenant) -> Callable[[str], str]:
    pseudonyms = tenant.pseudonyms
    if not tenant.config.flags.guard_pii:
        return pseudonyms.of

    def guarded(user_id: str) -> str:
        found = looks_personal(user_id)
        if found is not None:
            raise UnsoundRecordError(f"user_id: looks like {found}; send an id that names nobody by itself")
        return pseudonyms.of(user_id)

    return guarded
