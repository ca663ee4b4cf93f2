"""The arm of a request: chosen before anything is ranked, told in ``meta``, and logged."""

from __future__ import annotations

from datetime import datetime

import msgspec
from msgspec import Struct

from recsys.contracts.config import Exploration, Mode
from recsys.contracts.experiments import Arm
from recsys.contracts.http import ExperimentArm, RecommendRequest, SimilarRequest
from recsys.control.principals import Principal
from recsys.experiments.assignment import Assigned
from recsys.ranking.snapshot import Snapshot
from recsys.service.arms import SurfaceArms

Weights = tuple[float, float, float]
_ENCODER = msgspec.json.Encoder()


class Ranker(Struct, frozen=True):
    """What ranks: a snapshot, and what an arm or the caller changes of it."""

    snapshot: Snapshot
    mode: Mode | None = None
    weights: Weights | None = None
    exploration: Exploration | None = None


class Treatment(Struct, frozen=True):
    """What an experiment makes of a request.

    ``told`` goes into ``meta``; ``is_logged`` says whether the request is an observation. Two ``rankers`` are
    to be interleaved.
    """

    told: ExperimentArm | None
    is_logged: bool
    rankers: tuple[Ranker, ...]


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
        assigned = None if arms is None else arms.of_variant(sent.id, sent.variant)
        rankers = (ranker,) if assigned is None or arms is None else _rankers(assigned, arms, ranker)
        return Treatment(sent, True, rankers)
    if arms is None or isinstance(body, SimilarRequest):
        return Treatment(None, False, (ranker,))
    assigned = arms.choose(user, segment, now, None if sent is None else sent.id)
    if assigned is None:
        return Treatment(None, False, (ranker,))
    told = ExperimentArm(assigned.experiment_id, assigned.variant)
    return Treatment(told, not assigned.is_forced, _rankers(assigned, arms, ranker))


def encode_assignment(
    arm: ExperimentArm, request_id: str, user: str, stamp: bytes, tenant: str, surface: str
) -> bytes:
    """Return the line of an ``assignment.v1``, newline and all; ``stamp`` is its time in RFC 3339."""
    encode = _ENCODER.encode
    return b'{"experiment_id":%b,"variant":%b,"request_id":%b,"user_id":"%b","ts":"%b","context":%b}\n' % (
        encode(arm.id),
        encode(arm.variant),
        encode(request_id),
        user.encode(),
        stamp,
        encode({"tenant_id": tenant, "surface": surface}),
    )


def _rankers(assigned: Assigned, arms: SurfaceArms, ranker: Ranker) -> tuple[Ranker, ...]:
    return tuple(_ranker(arm, arms, ranker) for arm in assigned.arms) or (ranker,)


def _ranker(arm: Arm, arms: SurfaceArms, ranker: Ranker) -> Ranker:
    weights = arm.weights
    return Ranker(
        arms.snapshot_of(arm, ranker.snapshot),
        arm.mode or ranker.mode,
        # What the caller asks for wins, in every arm alike.
        ranker.weights or (None if weights is None else (weights.pop, weights.cooc, weights.emb)),
        arm.exploration,
    )
