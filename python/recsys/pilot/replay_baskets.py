"""Replays baskets as requests to a running service, and sends what was bought from the lists as outcomes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
from msgspec import Struct

from recsys.client.http_client import Client, ClientError
from recsys.contracts.http import Anchors, RecommendRequest, User
from recsys.contracts.records import Outcome
from recsys.pilot.baskets import Basket

EVENTS_AT_ONCE = 500


class ReplayResult(Struct, frozen=True, kw_only=True):
    """What a replay saw at the client; latencies in milliseconds.

    ``request_ids`` are in the order of the baskets, ``None`` for one that failed; ``per_arm`` counts lists by
    experiment variant.
    """

    requests: int
    failed: int
    empty: int
    conversions: int
    p50_ms: float
    p95_ms: float
    seconds: float
    request_ids: list[str | None]
    per_arm: dict[str, int]

    @property
    def conversion_rate(self) -> float:
        """Outcomes for each list served."""
        served = self.requests - self.failed
        return self.conversions / served if served else 0.0


def replay_baskets(client: Client, surface: str, baskets: Sequence[Basket], *, k: int = 20) -> ReplayResult:
    """Ask for a list for each basket, and send a conversion for each listed item that was bought."""
    latencies: list[float] = []
    request_ids: list[str | None] = []
    outcomes: list[Outcome] = []
    per_arm: dict[str, int] = {}
    failed = empty = conversions = 0
    began = time.monotonic()
    for basket in baskets:
        request = RecommendRequest(
            surface=surface,
            segment="default",
            k=k,
            user=User(user_id=basket.household, session_id=basket.basket),
            anchors=Anchors(list(basket.known)),
        )
        asked = time.perf_counter()
        try:
            answer = client.recommend(request)
        except ClientError:
            failed += 1
            request_ids.append(None)
            continue
        latencies.append((time.perf_counter() - asked) * 1000)
        request_ids.append(answer.meta.request_id)
        empty += not answer.items
        if answer.meta.experiment is not None and answer.meta.experiment.variant is not None:
            variant = answer.meta.experiment.variant
            per_arm[variant] = per_arm.get(variant, 0) + 1
        bought = set(basket.rest)
        outcomes += (
            Outcome(
                request_id=answer.meta.request_id,
                user_id=basket.household,
                item_id=item.item_id,
                event_type="conversion",
                ts=datetime.now(UTC),
            )
            for item in answer.items
            if item.item_id in bought
        )
        if len(outcomes) >= EVENTS_AT_ONCE:
            conversions += client.send_events(outcomes).accepted
            outcomes = []
    conversions += client.send_events(outcomes).accepted
    return ReplayResult(
        requests=len(baskets),
        failed=failed,
        empty=empty,
        conversions=conversions,
        p50_ms=_percentile(latencies, 50),
        p95_ms=_percentile(latencies, 95),
        seconds=time.monotonic() - began,
        request_ids=request_ids,
        per_arm=per_arm,
    )


def _percentile(values: Sequence[float], q: float) -> float:
    return round(float(np.percentile(np.asarray(values), q)), 3) if values else 0.0
