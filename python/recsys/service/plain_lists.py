"""Lists that are asked for plainly: read, ranked and encoded natively, with only the choices made here.

Nearly every request is one. What asks for more (reasons, pages, an allow-list), is treated further (drawn,
interleaved, damped) or goes wrong is left to :class:`recsys.service.lists.Lists`, which answers a plain
request with the same bytes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from recsys._native import PlainReader, PlainRequest
from recsys.contracts.config import Mode
from recsys.contracts.errors import ArtifactError, ServingError
from recsys.contracts.http import (
    MAX_ANCHORS,
    MAX_CANDIDATES,
    MAX_CONTEXT_VALUE,
    MAX_K,
    MAX_TAGS,
    MAX_USER_ID,
    Context,
)
from recsys.observability.metrics import Metrics
from recsys.service.arms import Ranker, Treatment
from recsys.service.assignments import treat_user
from recsys.service.bodies import require_json
from recsys.service.exposures import told_by_caller
from recsys.service.list_log import ListLog, kind_of
from recsys.service.queries import choose_k, choose_segment
from recsys.service.state import State
from recsys.service.transport import Request, Response
from recsys.service.warnings import list_warnings

_ENCODER = msgspec.json.Encoder()
_NO_CONTEXT = Context()
_UNTREATED = Treatment(None, False, ())


class PlainLists:
    """Answers the plain ones of the requests to ``/v1/recommend`` and ``/v1/similar``."""

    def __init__(self, state: State, metrics: Metrics, log: ListLog) -> None:
        self._state = state
        self._metrics = metrics
        self._log = log
        self._reader = PlainReader(
            k=MAX_K,
            anchors=MAX_ANCHORS,
            excluded=MAX_CANDIDATES,
            tags=MAX_TAGS,
            user_id=MAX_USER_ID,
            label=MAX_CONTEXT_VALUE,
        )

    def recommend(self, request: Request) -> Response | None:
        """Return the answer, or ``None`` for a request that is not plain."""
        return self._answer("recommend", request, self._reader.recommend, None)

    def similar(self, request: Request) -> Response | None:
        """Return the answer, or ``None`` for a request that is not plain."""
        return self._answer("similar", request, self._reader.similar, "cooc")

    def _answer(
        self,
        endpoint: str,
        request: Request,
        read: Callable[[bytes], PlainRequest | None],
        mode: Mode | None,
    ) -> Response | None:
        tenant = self._state.tenants.get(request.principal.tenant_id)
        if tenant is None:
            return None
        require_json(request.headers)
        plain = read(request.body)
        snapshot = None if plain is None else tenant.snapshots.get(plain.surface)
        if plain is None or snapshot is None:
            return None
        warnings = tenant.warnings_of(snapshot.surface)
        context = _NO_CONTEXT if plain.context is None else Context(*plain.context)
        segment = plain.segment or choose_segment(context, snapshot.config, warnings)
        k = choose_k(plain.k, snapshot.config, warnings)
        request_id, now = request.request_id, datetime.now(UTC)
        user = tenant.pseudonyms.of(plain.user or request_id)
        treatment, weights = _UNTREATED, None
        arms = tenant.experiments.get(snapshot.surface) if tenant.experiments and plain.user else None
        if arms is not None:
            treatment = treat_user(arms, Ranker(snapshot, mode), user, segment, now, None)
            ranker = treatment.rankers[0]
            if len(treatment.rankers) > 1 or ranker.exploration is not None:
                return None
            snapshot, mode, weights = ranker.snapshot, ranker.mode, ranker.weights
        plan = snapshot.plan(segment, now, mode)
        if not plan.is_direct:
            return None
        try:
            ranked = plan.plan.rank_plain(plain, k, int(now.timestamp() * 1000), user, weights)
        except (ArtifactError, ServingError):
            return None  # to be met again, and told, where every failure is
        warnings = list_warnings(warnings, plan, ranked, is_restricted=False)
        provenance = snapshot.provenance
        body, line = ranked.answer(
            request_id,
            user,
            time.perf_counter() - request.started,
            provenance.members(segment),
            meta=_meta_members(treatment) + provenance.added_members,
            context=provenance.added_members + _context_members(treatment, context),
            warnings=_ENCODER.encode(warnings) if warnings else b"[]",
        )
        if snapshot.config.flags.log_exposures:
            self._log.write(request_id, user, treatment, snapshot, line, now)
        self._metrics.of_surface(endpoint, snapshot.tenant, snapshot.surface).count_list(
            kind_of(len(ranked), k, is_refilled=bool(ranked.rungs)),
            time.perf_counter() - request.started,
        )
        for warning in warnings:
            self._metrics.count_warning(warning.code)
        return Response(200, body)


def _meta_members(treatment: Treatment) -> bytes:
    return b"" if treatment.told is None else b',"experiment":' + treatment.told_json


def _context_members(treatment: Treatment, context: Context) -> bytes:
    members = b"," + treatment.context_members if treatment.context_members else b""
    if context is not _NO_CONTEXT:
        members += b"," + _ENCODER.encode(told_by_caller(context))[1:-1]
    return members
