"""Who gets which arm: a keyed hash of experiment and pseudonym, stable and not to be guessed from outside.

HMAC-SHA256 with the tenant's salt gives four independent 64-bit numbers for a user and an experiment: the
first picks the arm, the second admits the user, the third holds out. Each is compared with a share, so
raising ``traffic_share`` adds users and moves nobody to another arm. A layer has a hash of its own.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import accumulate

from msgspec import Struct

from recsys._native import Pseudonyms
from recsys.contracts.experiments import HOLDOUT, INTERLEAVED, Arm, Experiment, ExperimentsDocument

_SPAN = 2**64
_ARM, _ADMISSION, _HOLDOUT = 0, 1, 2
"""Which number of an experiment's digest decides what."""
_SLOT, _LAYER_HOLDOUT = 0, 1
"""The same of a layer's."""


class Assigned(Struct, frozen=True):
    """What an experiment gave to a user. ``arms`` rank the request: one, two to interleave, none held out.

    A tester's forced arm is served and told, but is no observation: ``is_forced`` keeps it out of the logs.
    """

    experiment_id: str
    variant: str
    arms: tuple[Arm, ...]
    is_forced: bool = False


def drawn_for(purpose: str, name: str) -> str:
    """Return what is hashed before a user's pseudonym: what the user is drawn for."""
    return f"{purpose}\0{name}\0"


def number_of(digest: str, place: int) -> int:
    """Return one of the four uniform, independent integers below 2**64 that a digest consists of."""
    return int(digest[16 * place : 16 * place + 16], 16)


class Assignment:
    """One experiment, ready to assign."""

    def __init__(self, salt: bytes, experiment: Experiment) -> None:
        self.experiment = experiment
        self._key = Pseudonyms(salt)
        total = sum(arm.weight for arm in experiment.arms)
        sums = list(accumulate(arm.weight for arm in experiment.arms))
        self._bounds = [_limit(part / total) for part in sums[:-1]]
        self._segments = frozenset(experiment.segments)
        self._admitted = _limit(experiment.traffic_share)
        self._held_out = _limit(experiment.holdout)
        layer = experiment.layer
        self._drawn_for = drawn_for("experiment", experiment.id)
        self._layer = (
            None if layer is None else (drawn_for("layer", layer.name), _limit(layer.low), _limit(layer.high))
        )
        self._by_arm = [
            Assigned(experiment.id, arm.name, (arm,))
            if experiment.kind == "split"
            else Assigned(experiment.id, INTERLEAVED, tuple(experiment.arms))
            for arm in experiment.arms
        ]
        self._holdout = Assigned(experiment.id, HOLDOUT, ())
        self._by_name = {arm.name: arm for arm in experiment.arms}

    def choose(self, pseudonym: str, segment: str, now: datetime) -> Assigned | None:
        """Return what a user gets at ``now`` (with a zone), or ``None`` for one who takes no part."""
        experiment = self.experiment
        forced = experiment.forced.get(pseudonym)
        if forced is not None:
            return Assigned(experiment.id, forced, (self._by_name[forced],), is_forced=True)
        start, end = experiment.start, experiment.end
        is_open = (start is None or start <= now) and (end is None or now < end)
        if not is_open or (self._segments and segment not in self._segments):
            return None
        digest = self._key.of(self._drawn_for + pseudonym)
        holdout, holdout_place = digest, _HOLDOUT
        if self._layer is not None:
            layer, low, high = self._layer
            # A layer's holdout is one group of users for all of its experiments.
            holdout, holdout_place = self._key.of(layer + pseudonym), _LAYER_HOLDOUT
            if not low <= number_of(holdout, _SLOT) < high:
                return None
        if self._admitted < _SPAN and number_of(digest, _ADMISSION) >= self._admitted:
            return None
        if self._held_out and number_of(holdout, holdout_place) < self._held_out:
            return self._holdout
        return self._by_arm[bisect_right(self._bounds, number_of(digest, _ARM))]

    def of_variant(self, variant: str) -> Assigned | None:
        """Return what the caller's own assignment to ``variant`` means, or ``None`` for an unknown one."""
        if variant == HOLDOUT:
            return self._holdout
        if variant == INTERLEAVED and self.experiment.kind == "interleaving":
            return self._by_arm[0]
        arm = self._by_name.get(variant)
        return None if arm is None else Assigned(self.experiment.id, variant, (arm,))


class SurfaceExperiments:
    """The experiments that serve one surface; running ones have no user in common, so their order is moot."""

    def __init__(self, salt: bytes, experiments: Iterable[Experiment]) -> None:
        self._assignments = [Assignment(salt, experiment) for experiment in experiments]
        self._by_id = {one.experiment.id: one for one in self._assignments}

    def __bool__(self) -> bool:
        return bool(self._assignments)

    @property
    def arms(self) -> Sequence[Arm]:
        """Every arm that may rank."""
        return [arm for one in self._assignments for arm in one.experiment.arms]

    def choose(
        self, pseudonym: str, segment: str, now: datetime, experiment_id: str | None = None
    ) -> Assigned | None:
        """Return what a user gets, of the named experiment if one is named."""
        if experiment_id is not None:
            named = self._by_id.get(experiment_id)
            return None if named is None else named.choose(pseudonym, segment, now)
        for one in self._assignments:
            assigned = one.choose(pseudonym, segment, now)
            if assigned is not None:
                return assigned
        return None

    def of_variant(self, experiment_id: str, variant: str) -> Assigned | None:
        """Return the arm that the caller names, or ``None`` when the surface has no such arm."""
        named = self._by_id.get(experiment_id)
        return None if named is None else named.of_variant(variant)


def serving_experiments(document: ExperimentsDocument, surface: str, salt: bytes) -> SurfaceExperiments:
    """Return the experiments of a tenant that serve ``surface``; none while a kill switch is on."""
    if document.kill_switch:
        return SurfaceExperiments(salt, ())
    return SurfaceExperiments(
        salt, (one for one in document.experiments if one.is_serving and one.surface == surface)
    )


def _limit(share: float) -> int:
    return _SPAN if share >= 1.0 else int(share * _SPAN)
