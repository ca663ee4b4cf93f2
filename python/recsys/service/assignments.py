"""The arm of a request: chosen before anything is ranked, told in ``meta``, and logged."""

from __future__ import annotations

from datetime import datetime

import msgspec

from recsys.contracts.http import RecommendRequest, SimilarRequest
from recsys.control.principals import Principal
from recsys.service.arms import Ranker, SurfaceArms, Treatment, make_treatment

_ENCODER = msgspec.json.Encoder()


def choose_treatment(
    body: RecommendRequest | SimilarRequest,
    arms: SurfaceArms | None,
    ranker: Ranker,
    principal: Principal,
    user: str,
    segment: str,
    now: datetime,
) -> Treatment:
    """Return how a request is ranked; ``ranker`` is what ranks it without an experiment.

    A variant that the caller sends is honoured for the role ``service``, else the user is assigned here.
    Requests that name no user, as those of ``/v1/similar``, are in no experiment unless the caller says so.
    """
    sent = body.experiment
    if sent is not None and sent.variant is not None and principal.has_any("service"):
        assigned = None if arms is None else arms.experiments.of_variant(sent.id, sent.variant)
        rankers = (ranker,) if assigned is None or arms is None else arms.rankers(assigned, ranker)
        return make_treatment(sent, rankers, is_logged=True)
    if isinstance(body, SimilarRequest):
        arms = None
    return treat_user(arms, ranker, user, segment, now, None if sent is None else sent.id)


def treat_user(
    arms: SurfaceArms | None,
    ranker: Ranker,
    user: str,
    segment: str,
    now: datetime,
    experiment_id: str | None,
) -> Treatment:
    """Return how a user's request is ranked, by the arm that the user is assigned to, if to any."""
    if arms is None:
        return Treatment(None, False, (ranker,))
    assigned = arms.experiments.choose(user, segment, now, experiment_id)
    if assigned is None:
        return Treatment(None, False, (ranker,))
    return arms.treat(assigned, ranker)


def encode_assignment(treatment: Treatment, request_id: str, user: str, ts: datetime) -> bytes:
    """Return the line of an ``assignment.v1``, newline and all."""
    before, after = treatment.assignment
    encode = _ENCODER.encode
    line = (
        before,
        b',"request_id":',
        encode(request_id),
        b',"user_id":"',
        user.encode(),
        b'","ts":',
        encode(ts),
        after,
    )
    return b"".join(line)
