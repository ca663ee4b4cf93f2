"""Ranked lists: one native call, the response, and the exposure, written before the response leaves."""

from __future__ import annotations

import time

import msgspec

from recsys._native import Pseudonyms, Ranked
from recsys.contracts.errors import ArtifactError, ServingError
from recsys.contracts.http import MAX_K, RecommendRequest, SimilarRequest, ValidateResponse
from recsys.contracts.problems import ProblemCode
from recsys.control.principals import Principal
from recsys.observability.metrics import ListKind, Metrics
from recsys.ranking.plans import CompiledPlan
from recsys.service.bodies import decode_body
from recsys.service.exposures import ExposureLines
from recsys.service.list_bodies import encode_list, make_meta
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
        self._lines = ExposureLines()
        self._pseudonyms: dict[bytes, Pseudonyms] = {}

    def recommend(self, request: Request) -> Response:
        """Answer with the best items for a user."""
        return self._answer("recommend", request, self._query(request, self._recommend))

    def similar(self, request: Request) -> Response:
        """Answer with the best items beside one item."""
        return self._answer("similar", request, self._query(request, self._similar))

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
        query = make_query(body, tenant, principal, self._pseudonyms_of(tenant.salt), request_id)
        plan = query.snapshot.plan(query.segment, query.now, query.mode)
        ranked = _rank(query, plan)
        return encode_list(query, ranked, list_warnings(query, plan, ranked), request_id)

    def _query(
        self,
        request: Request,
        decoder: msgspec.json.Decoder[RequestT],
    ) -> Query:
        tenant = self._state.tenant(request.principal.tenant_id)
        body = decode_body(request, decoder)
        return make_query(
            body, tenant, request.principal, self._pseudonyms_of(tenant.salt), request.request_id
        )

    def _pseudonyms_of(self, salt: bytes) -> Pseudonyms:
        pseudonyms = self._pseudonyms.get(salt)
        if pseudonyms is None:
            pseudonyms = self._pseudonyms[salt] = Pseudonyms(salt)
        return pseudonyms

    def _answer(self, endpoint: str, request: Request, query: Query) -> Response:
        snapshot = query.snapshot
        metrics = self._metrics.of_surface(endpoint, snapshot.tenant, snapshot.surface)
        try:
            plan = snapshot.plan(query.segment, query.now, query.mode)
            ranked = _rank(query, plan)
        except (ArtifactError, ServingError) as error:
            metrics.count_failure()
            self._expose(request, query, None)
            raise ProblemError(ProblemCode.ARTIFACT_INCOMPATIBLE, str(error)) from error
        except Exception:
            metrics.count_failure()
            raise
        warnings = list_warnings(query, plan, ranked)
        body = encode_list(query, ranked, warnings, request.request_id)
        self._expose(request, query, ranked)
        metrics.count_list(_kind_of(query.k, ranked), time.perf_counter() - request.started)
        for warning in warnings:
            self._metrics.count_warning(warning.code)
        return Response(200, body)

    def _expose(self, request: Request, query: Query, ranked: Ranked | None) -> None:
        """Log what the request was served; ``None`` is an error."""
        snapshot = query.snapshot
        if not snapshot.config.flags.log_exposures:
            return
        if not self._state.exposures.append_line(self._lines.encode(request, query, ranked)):
            self._metrics.exposure_failures.labels(snapshot.tenant).inc()


def _rank(query: Query, plan: CompiledPlan) -> Ranked:
    body = query.request
    caps = body.constraints.max_per_tag
    return plan.plan.rank(
        query.k,
        int(query.now.timestamp() * 1000),
        anchors=query.anchors,
        user=query.user,
        include=body.candidates.include_ids or None,
        exclude=body.candidates.exclude_ids,
        required_tags=body.constraints.required_tags,
        forbidden_tags=body.constraints.forbidden_tags,
        # A cap above the longest list is no cap, and fits the native integer.
        max_per_tag={tag: min(cap, MAX_K) for tag, cap in caps.items()} if caps else None,
        weights=query.weights,
        explain=body.options.explain != "none" or body.options.include_trace,
    )


def _kind_of(k: int, ranked: Ranked) -> ListKind:
    length = len(ranked)
    if not length:
        return "empty"
    if length < k:
        return "short"
    return "fallback" if ranked.rungs else "full"
