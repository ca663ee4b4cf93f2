"""The experiments of a surface, the snapshots of their arms, and what they make of a request."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Struct

from recsys.contracts.config import Exploration, Mode
from recsys.contracts.experiments import Arm
from recsys.contracts.http import ExperimentArm
from recsys.experiments.assignment import Assigned, SurfaceExperiments
from recsys.ranking.snapshot import Snapshot

Weights = tuple[float, float, float]
_ENCODER = msgspec.json.Encoder()

Pins = tuple[str | None, str | None, str | None]
"""Config, rules and manifest version that an arm names; ``None`` is the current one."""


def pins_of(arm: Arm) -> Pins:
    """Return the versions that an arm names."""
    return arm.config_version, arm.rules_version, arm.manifest_version


class Ranker(Struct, frozen=True):
    """What ranks: a snapshot, and what an arm or the caller changes of it."""

    snapshot: Snapshot
    mode: Mode | None = None
    weights: Weights | None = None
    exploration: Exploration | None = None


class Treatment(Struct, frozen=True):
    """What an experiment makes of a request.

    ``told`` goes into ``meta``; ``is_logged`` says whether the request is an observation. Two ``rankers`` are
    to be interleaved. ``told_json`` is ``told`` encoded, ``context_members`` what an exposure's context says,
    ``assignment`` the line of an assignment around what is the request's own.
    """

    told: ExperimentArm | None
    is_logged: bool
    rankers: tuple[Ranker, ...]
    told_json: bytes = b"null"
    context_members: bytes = b""
    assignment: tuple[bytes, bytes] = (b"", b"")


def make_treatment(told: ExperimentArm, rankers: tuple[Ranker, ...], *, is_logged: bool) -> Treatment:
    """Return the treatment of a request in an arm."""
    told_json = _ENCODER.encode(told)
    if not is_logged:
        return Treatment(told, is_logged, rankers, told_json)
    named = _ENCODER.encode({"experiment_id": told.id, "variant": told.variant})
    context = _ENCODER.encode({"experiment_id": told.id, "experiment_variant": told.variant})
    place = rankers[0].snapshot
    placed = _ENCODER.encode({"tenant_id": place.tenant, "surface": place.surface})
    assignment = (named[:-1], b',"context":%b}\n' % placed)
    return Treatment(told, is_logged, rankers, told_json, context[1:-1], assignment)


class SurfaceArms:
    """Assigns the users of one surface; what it answers never changes, like the tenant that holds it."""

    def __init__(self, experiments: SurfaceExperiments, snapshots: Mapping[Pins, Snapshot]) -> None:
        self.experiments = experiments
        self.snapshots = snapshots
        # Nearly all requests of an arm are treated alike.
        self._usual: dict[tuple[str, str], tuple[Snapshot, Treatment]] = {}

    def treat(self, assigned: Assigned, ranker: Ranker) -> Treatment:
        """Return the treatment of a request that ``ranker`` would rank without an experiment."""
        if ranker.mode is not None or ranker.weights is not None or assigned.is_forced:
            return self._treat(assigned, ranker)
        key = (assigned.experiment_id, assigned.variant)
        known = self._usual.get(key)
        if known is None or known[0] is not ranker.snapshot:
            self._usual[key] = known = (ranker.snapshot, self._treat(assigned, ranker))
        return known[1]

    def rankers(self, assigned: Assigned, ranker: Ranker) -> tuple[Ranker, ...]:
        """Return what ranks: one, or two to interleave."""
        return tuple(self._ranker(arm, ranker) for arm in assigned.arms) or (ranker,)

    def _treat(self, assigned: Assigned, ranker: Ranker) -> Treatment:
        told = ExperimentArm(assigned.experiment_id, assigned.variant)
        return make_treatment(told, self.rankers(assigned, ranker), is_logged=not assigned.is_forced)

    def _ranker(self, arm: Arm, ranker: Ranker) -> Ranker:
        weights = arm.weights
        return Ranker(
            # The current snapshot, unless the arm names versions.
            self.snapshots[pins_of(arm)] if arm.pins_versions else ranker.snapshot,
            arm.mode or ranker.mode,
            # What the caller asks for wins, in every arm alike.
            ranker.weights or (None if weights is None else (weights.pop, weights.cooc, weights.emb)),
            arm.exploration,
        )
