"""Guardrails of a running experiment, looked at as often as one likes: is an arm worse than allowed?

Each look is one of a confidence sequence (see :mod:`recsys.evaluation.stats.sequential`), so the chance that
an arm that keeps to its margin is ever called broken is at most ``alpha``, shared out evenly over guardrails
and arms. Users are the unit. Two users are added to each arm, one with only good and one with only bad
requests (Agresti and Caffo 2000, "Simple and Effective Confidence Intervals for Proportions", The American
Statistician 54), for an arm that is always or never empty has no variance of its own.

Latency is judged as a rate too: at most 5 % of an arm's requests may be slower than the control's p95 with
the margin on top.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import msgspec
import numpy as np
from msgspec import Struct

from recsys.contracts.experiments import Experiment, Guardrail, GuardrailMetric
from recsys.evaluation.stats.delta_method import ratio
from recsys.evaluation.stats.estimate import FloatArray, Mean
from recsys.evaluation.stats.sequential import confidence_sequence, mixture_variance

ALPHA = 0.01
MIN_USERS = 30
"""Users of each arm at the first look; the sequence is asymptotic."""
_SLOW_SHARE = 0.05


class Breach(Struct, frozen=True):
    """A guardrail that an arm does not keep: its increase over the control and the lower bound of that."""

    arm: str
    metric: GuardrailMetric
    increase: float
    lower_bound: float
    margin: float
    requests: int


class _Context(Struct, frozen=True):
    experiment_id: str | None = None
    experiment_variant: str | None = None


class _Line(Struct, frozen=True):
    user_id: str
    items: list[msgspec.Raw]
    context: _Context | None = None
    latency_ms: float | None = None
    error: bool | None = None


_DECODER = msgspec.json.Decoder(_Line)


class GuardrailWatch:
    """Counts the exposures of one experiment and looks at its guardrails."""

    def __init__(self, experiment: Experiment, alpha: float = ALPHA) -> None:
        self._id = experiment.id
        self._guardrails = list(experiment.guardrails)
        self._control = experiment.arms[0].name
        self._candidates = [arm.name for arm in experiment.arms[1:]]
        self._level = 1.0 - alpha / (len(self._guardrails) * len(self._candidates))
        self._arms: defaultdict[str, _Arm] = defaultdict(_Arm)
        self._mixtures: dict[tuple[str, GuardrailMetric], float] = {}

    def add(self, line: bytes) -> None:
        """Count one line of the exposure log, if it is of this experiment."""
        try:
            exposure = _DECODER.decode(line)
        except msgspec.MsgspecError:
            return  # checking the log is for `recsys eval validate`; here a lost line only widens an interval
        context = exposure.context
        if context is None or context.experiment_id != self._id or context.experiment_variant is None:
            return
        self._arms[context.experiment_variant].add(exposure)

    @property
    def requests(self) -> dict[str, int]:
        """Requests by arm so far."""
        return {name: len(arm.users) for name, arm in sorted(self._arms.items())}

    def look(self) -> list[Breach]:
        """Return the guardrails that are broken for certain."""
        control = self._arms[self._control]
        breaches = []
        for name in self._candidates:
            candidate = self._arms[name]
            if min(control.n_users, candidate.n_users) < MIN_USERS:
                continue
            for guardrail in self._guardrails:
                breach = self._judge(name, guardrail, control, candidate)
                if breach is not None:
                    breaches.append(breach)
        return breaches

    def _judge(self, name: str, guardrail: Guardrail, control: _Arm, candidate: _Arm) -> Breach | None:
        margin = guardrail.margin
        if guardrail.metric == "p95_latency":
            limit = float(np.quantile(np.array(control.latencies), 0.95)) * (1.0 + margin)
            slow = candidate.rate(np.array(candidate.latencies) > limit)
            increase, variance, allowed = slow.value - _SLOW_SHARE, slow.variance, 0.0
        else:
            pair = [
                arm.rate(np.array(arm.errors if guardrail.metric == "error_rate" else arm.empties))
                for arm in (control, candidate)
            ]
            increase, variance = pair[1].value - pair[0].value, pair[0].variance + pair[1].variance
            allowed = margin
        mixture = self._mixtures.setdefault((name, guardrail.metric), mixture_variance(variance, self._level))
        (look,) = confidence_sequence([increase], [variance], tau_squared=mixture, level=self._level)
        if look.low <= allowed:
            return None
        return Breach(name, guardrail.metric, increase, look.low, margin, len(candidate.users))


class _Arm:
    """The requests of one arm, a user's code for each."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}
        self.users: list[int] = []
        self.errors: list[bool] = []
        self.empties: list[bool] = []
        self.latencies: list[float] = []

    @property
    def n_users(self) -> int:
        return len(self._codes)

    def add(self, exposure: _Line) -> None:
        self.users.append(self._codes.setdefault(exposure.user_id, len(self._codes)))
        self.errors.append(bool(exposure.error))
        self.empties.append(not exposure.items)
        self.latencies.append(exposure.latency_ms or 0.0)

    def rate(self, is_bad: Sequence[bool] | np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> Mean:
        """Return the share of bad requests, with the two users that are added."""
        users = np.array(self.users)
        bad: FloatArray = np.bincount(users, weights=np.asarray(is_bad, dtype=np.float64)).astype(np.float64)
        requests: FloatArray = np.bincount(users).astype(np.float64)
        usual = float(requests.mean())
        return ratio(np.append(bad, [usual, 0.0]), np.append(requests, [usual, usual]))
