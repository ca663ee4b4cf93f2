"""Ranked lists: one native call, the response, and the exposure, written before the response leaves."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import msgspec

from recsys._native import Ranked
from recsys.contracts.errors import ArtifactError, ServingError
from recsys.contracts.http import (
    MAX_K,
    ExperimentArm,
    ListMeta,
    ListResponse,
    RankedItem,
    RecommendRequest,
    SimilarRequest,
    ValidateResponse,
)
from recsys.contracts.problems import ProblemCode
from recsys.contracts.records import ExposedItem, Exposure
from recsys.control.principals import Principal
from recsys.observability.metrics import ListKind, Metrics
from recsys.ranking.plans import CompiledPlan
from recsys.service.bodies import decode_body
from recsys.service.explanations import explain_items
from recsys.service.problems import ProblemError
from recsys.service.queries import Query, RequestT, make_query
from recsys.service.state import State
from recsys.service.tenants import ServedTenant
from recsys.service.transport import Request, Response, json_response
from recsys.service.warnings import list_warnings

_RANKS = range(1, MAX_K + 1)


class Lists:
    """The handlers of ``/v1/recommend``, ``/v1/recommend/validate`` and ``/v1/similar``."""

    def __init__(self, state: State, metrics: Metrics) -> None:
        self._state = state
        self._metrics = metrics
        self._recommend = msgspec.json.Decoder(RecommendRequest)
        self._similar = msgspec.json.Decoder(SimilarRequest)

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
        meta = _make_meta(query, request.request_id)
        return json_response(200, ValidateResponse(filled, meta, query.warnings))

    def try_out(
        self, body: RecommendRequest, tenant: ServedTenant, principal: Principal, request_id: str
    ) -> bytes:
        """Return the response body that a tenant as given would send; nothing is logged or counted."""
        query = make_query(body, tenant, principal, request_id)
        plan = query.snapshot.plan(query.segment, query.now, query.mode)
        return msgspec.json.encode(_make_response(query, plan, _rank(query, plan), request_id))

    def _query(
        self,
        request: Request,
        decoder: msgspec.json.Decoder[RequestT],
    ) -> Query:
        tenant = self._state.tenant(request.principal.tenant_id)
        return make_query(decode_body(request, decoder), tenant, request.principal, request.request_id)

    def _answer(self, endpoint: str, request: Request, query: Query) -> Response:
        snapshot = query.snapshot
        metrics = self._metrics.of_surface(endpoint, snapshot.tenant, snapshot.surface)
        try:
            plan = snapshot.plan(query.segment, query.now, query.mode)
            ranked = _rank(query, plan)
        except (ArtifactError, ServingError) as error:
            metrics.requests["server_error"].inc()
            self._expose(request, query, [], is_error=True)
            raise ProblemError(ProblemCode.ARTIFACT_INCOMPATIBLE, str(error)) from error
        except Exception:
            metrics.requests["server_error"].inc()
            raise
        response = _make_response(query, plan, ranked, request.request_id)
        for warning in response.warnings:
            self._metrics.warnings.labels(warning.code).inc()
        item_ids = [item.item_id for item in response.items]
        metrics.lists[_kind_of(len(item_ids), query.k, ranked)].inc()
        self._expose(request, query, item_ids, is_error=False)
        answer = json_response(200, response)
        metrics.requests["ok"].inc()
        metrics.latency.observe(time.perf_counter() - request.started)
        return answer

    def _expose(self, request: Request, query: Query, item_ids: list[str], *, is_error: bool) -> None:
        snapshot = query.snapshot
        if not snapshot.config.flags.log_exposures:
            return
        exposure = Exposure(
            request_id=request.request_id,
            user_id=query.user,
            ts=datetime.now(UTC),
            items=list(map(ExposedItem, item_ids, _RANKS)),
            context=_exposure_context(query),
            latency_ms=round((time.perf_counter() - request.started) * 1000, 3),
            error=is_error,
        )
        if not self._state.exposures.append(exposure):
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


def _make_response(query: Query, plan: CompiledPlan, ranked: Ranked, request_id: str) -> ListResponse:
    options = query.request.options
    items = list(map(RankedItem, ranked.item_ids, _RANKS, ranked.scores))
    if options.include_reasons:
        items = [
            msgspec.structs.replace(item, reasons=reasons)
            for item, reasons in zip(items, ranked.reasons, strict=True)
        ]
    if options.explain != "none":
        explained = explain_items(ranked, is_full=options.explain == "full")
        items = [
            msgspec.structs.replace(item, explain=explanation)
            for item, explanation in zip(items, explained, strict=True)
        ]
    meta = _make_meta(query, request_id)
    if options.include_trace or options.explain == "full":
        counts = {f"filtered.{name}": count for name, count in sorted(ranked.filtered.items())}
        counts |= {f"candidates.{name}": count for name, count in ranked.candidates}
        meta = msgspec.structs.replace(meta, counts=counts)
    if options.include_trace:
        timings = {stage: micros / 1000 for stage, micros in ranked.stage_us.items()}
        meta = msgspec.structs.replace(meta, timings_ms=timings)
    return ListResponse(items, meta, list_warnings(query, plan, ranked))


def _make_meta(query: Query, request_id: str) -> ListMeta:
    snapshot, versions = query.snapshot, query.snapshot.versions
    return ListMeta(
        tenant_id=snapshot.tenant,
        surface=snapshot.surface,
        segment=query.segment,
        algo_version=versions.algo_version,
        config_version=versions.config_version,
        rules_version=versions.rules_version,
        manifest_version=versions.manifest_version,
        request_id=request_id,
        experiment=_arm_of(query),
    )


def _arm_of(query: Query) -> ExperimentArm | None:
    """Return the arm that the caller sent; an experiment without a variant has none here."""
    arm = query.request.experiment
    return arm if arm is not None and arm.variant is not None else None


def _exposure_context(query: Query) -> dict[str, str]:
    snapshot, versions, context = query.snapshot, query.snapshot.versions, query.request.context
    logged = {
        "tenant_id": snapshot.tenant,
        "surface": snapshot.surface,
        "segment": query.segment,
        "algo_version": versions.algo_version,
        "config_version": versions.config_version,
        "rules_version": versions.rules_version,
        "manifest_version": versions.manifest_version,
    }
    arm = _arm_of(query)
    if arm is not None and arm.variant is not None:
        logged["experiment_id"], logged["experiment_variant"] = arm.id, arm.variant
    if context.locale is not None:
        logged["locale"] = context.locale
    if context.device is not None:
        logged["device"] = context.device
    if context.country is not None:
        logged["country"] = context.country
    if context.now is not None:
        logged["now"] = context.now.isoformat()
    return logged


def _kind_of(length: int, k: int, ranked: Ranked) -> ListKind:
    if not length:
        return "empty"
    if length < k:
        return "short"
    return "fallback" if ranked.rungs else "full"
