"""Ranked lists: one native call, the response, and the exposure, written before the response leaves."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from recsys.contracts.errors import ArtifactError, ServingError
from recsys.contracts.http import ListWarning, RecommendRequest, SimilarRequest, ValidateResponse
from recsys.contracts.problems import ProblemCode
from recsys.control.principals import Principal
from recsys.eventlog.seen import Sight
from recsys.observability.metrics import ListKind, Metrics
from recsys.service.bodies import decode_body
from recsys.service.composed_lists import ServedList
from recsys.service.exposures import encode_exposure
from recsys.service.list_bodies import encode_list, make_meta
from recsys.service.list_log import ListLog, kind_of
from recsys.service.list_ranking import RankedList, rank_list
from recsys.service.pages import microseconds
from recsys.service.plain_lists import PlainLists
from recsys.service.problems import ProblemError
from recsys.service.queries import Query, RequestT, make_query
from recsys.service.state import State
from recsys.service.tenants import ServedTenant
from recsys.service.transport import Request, Response, json_response
from recsys.service.warnings import list_warnings


class Lists:
    """The handlers of ``/v1/recommend``, ``/v1/recommend/validate`` and ``/v1/similar``."""

    def __init__(self, state: State, metrics: Metrics) -> None:
        self._state = state
        self._metrics = metrics
        self._recommend = msgspec.json.Decoder(RecommendRequest)
        self._similar = msgspec.json.Decoder(SimilarRequest)
        self._list_log = ListLog(state, metrics)
        self._plain = PlainLists(state, metrics, self._list_log)

    def recommend(self, request: Request) -> Response:
        """Answer with the best items for a user."""
        plain = self._plain.recommend(request)
        return plain or self._answer("recommend", request, self._query(request, self._recommend))

    def similar(self, request: Request) -> Response:
        """Answer with the best items beside one item."""
        plain = self._plain.similar(request)
        return plain or self._answer("similar", request, self._query(request, self._similar))

    def validate(self, request: Request) -> Response:
        """Answer with the request as it would be ranked; nothing is ranked or logged."""
        query = self._query(request, self._recommend)
        body = query.request
        if not isinstance(body, RecommendRequest):
            raise TypeError("validate decodes recommend requests")
        filled = msgspec.structs.replace(body, segment=query.segment, k=query.k)
        meta = make_meta(query, request.request_id)
        return json_response(200, ValidateResponse(filled, meta, query.warnings))

    def try_out(
        self, body: RecommendRequest, tenant: ServedTenant, principal: Principal, request_id: str
    ) -> bytes:
        """Return the response body that a tenant as given would send; nothing is logged or counted."""
        query = make_query(body, tenant, principal, request_id)
        made = rank_list(query, request_id, self._state.recent, self._state.seen)
        warnings = _warnings_of(query, made)
        return encode_list(query, made, warnings, request_id)

    def _query(
        self,
        request: Request,
        decoder: msgspec.json.Decoder[RequestT],
    ) -> Query:
        self._state.tenant(request.principal.tenant_id)
        return self.make_query(decode_body(request, decoder), request.principal, request.request_id)

    def make_query(
        self, body: RecommendRequest | SimilarRequest, principal: Principal, request_id: str
    ) -> Query:
        """Return the query of a decoded body; raises 403, 404 or 422 as the contract says."""
        tenant = self._state.tenant(principal.tenant_id)
        return make_query(body, tenant, principal, request_id)

    def _answer(self, endpoint: str, request: Request, query: Query) -> Response:
        body, _ = self.serve(endpoint, request.request_id, request.started, query)
        return Response(200, body)

    def serve(
        self, endpoint: str, request_id: str, started: float, query: Query, shown: Sequence[str] = ()
    ) -> tuple[bytes, ServedList]:
        """Return the body of a list and the list, logged and counted; ``shown`` are items not to repeat."""
        snapshot = query.snapshot
        metrics = self._metrics.of_surface(endpoint, snapshot.tenant, snapshot.surface)
        try:
            made = rank_list(query, request_id, self._state.recent, self._state.seen, shown)
        except (ArtifactError, ServingError) as error:
            metrics.count_failure()
            self._log(request_id, started, query, None)
            raise ProblemError(ProblemCode.ARTIFACT_INCOMPATIBLE, str(error)) from error
        except Exception:
            metrics.count_failure()
            raise
        warnings = _warnings_of(query, made)
        body = encode_list(query, made, warnings, request_id)
        self._log(request_id, started, query, made.served)
        if made.is_remembered:
            self._remember(request_id, query, made.served)
        metrics.count_list(_kind_of(query, made), time.perf_counter() - started)
        for warning in warnings:
            self._metrics.count_warning(warning.code)
        return body, made.served

    def _remember(self, request_id: str, query: Query, served: ServedList) -> None:
        """Record what a user was shown, at the request's clock; ``/v1/similar`` names no user."""
        if isinstance(query.request, RecommendRequest) and len(served):
            at_us, snapshot = microseconds(query.now), query.snapshot
            sight = Sight(snapshot.tenant, query.user, snapshot.surface, at_us, request_id, served.item_ids)
            self._state.seen.add([sight])

    def _log(self, request_id: str, started: float, query: Query, served: ServedList | None) -> None:
        """Log the arm of a request and what it was served; ``None`` is an error."""
        if query.snapshot.config.flags.log_exposures:
            line = encode_exposure(request_id, started, query, served)
            self._list_log.write(
                request_id, query.user, query.treatment, query.snapshot, line, datetime.now(UTC)
            )


def _warnings_of(query: Query, made: RankedList) -> list[ListWarning]:
    is_restricted = bool(query.request.candidates.include_ids)
    return list_warnings(query.warnings, made.plan, made.ranked, is_restricted=is_restricted)


def _kind_of(query: Query, made: RankedList) -> ListKind:
    # Whoever pages through a list comes to its end.
    k = query.k if query.first_rank == 1 else 1
    return kind_of(len(made.served), k, is_refilled=bool(made.ranked.rungs))
