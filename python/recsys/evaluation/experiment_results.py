"""What the analysis of an experiment returns; the payload of its report."""

from __future__ import annotations

from msgspec import Struct

from recsys.evaluation.stats.estimate import Difference, Mean
from recsys.evaluation.stats.noninferiority import NonInferiority
from recsys.evaluation.stats.sequential import Look
from recsys.evaluation.stats.srm import SampleRatio
from recsys.evaluation.stats.winsorise import Cap


class Adjusted(Struct, frozen=True, kw_only=True):
    """The difference adjusted by the pre-period, and the share (0..1) of the variance which that removed."""

    difference: Difference
    theta: float
    variance_reduction: float
    users_before: int


class DayLook(Struct, frozen=True, kw_only=True):
    """What was known at the end of a day: the always-valid interval beside the fixed-horizon one."""

    day: str
    always_valid: Look
    fixed_low: float
    fixed_high: float


class DayEffect(Struct, frozen=True, kw_only=True):
    """The difference on one day alone."""

    day: str
    effect: Difference


class Trend(Struct, frozen=True, kw_only=True):
    """How the effect of single days moves, per day; one that fades towards 0 speaks for novelty."""

    per_day: float
    standard_error: float
    p_value: float


class SliceEffect(Struct, frozen=True, kw_only=True):
    """The difference among the requests with one value of a dimension."""

    dimension: str
    value: str
    control_users: int
    candidate_users: int
    effect: Difference


class MetricResult(Struct, frozen=True, kw_only=True):
    """One metric: arms, fixed-horizon differences, corrected p-values, what was detectable, and its course.

    ``minimum_detectable_effect`` is found with a power of 80 %. ``looks`` are cumulative; ``by_day`` is each
    day alone.
    """

    name: str
    numerator: str
    denominator: str
    lower_is_better: bool
    control: Mean
    candidate: Mean
    absolute: Difference
    relative: Difference | None
    p_holm: float
    p_benjamini_hochberg: float
    minimum_detectable_effect: float
    cap: Cap | None
    cuped: Adjusted | None
    looks: list[DayLook]
    by_day: list[DayEffect]
    trend: Trend | None
    slices: list[SliceEffect]


class Power(Struct, frozen=True, kw_only=True):
    """The chance to find the primary metric's minimum effect with these users; users per arm for 80 %."""

    metric: str
    effect: float
    power: float
    users_per_arm_needed: int


class Guardrail(Struct, frozen=True, kw_only=True):
    """A quantity in both arms, and whether the candidate is shown to be at most the margin worse.

    ``is_relative`` when increase and margin are shares of the control's value. ``increase`` is in the
    direction that harms.
    """

    control: float
    candidate: float
    is_relative: bool
    test: NonInferiority


class ExperimentResult(Struct, frozen=True, kw_only=True):
    """The whole analysis; ``requests`` are those of the period, also the ones without an arm."""

    control: str
    candidate: str
    level: float
    requests: int
    requests_without_arm: int
    sample_ratio: SampleRatio
    contaminated_users: int
    metrics: list[MetricResult]
    guardrails: dict[str, Guardrail]
    power: Power | None
    slices_below_minimum: int

    def metric(self, name: str) -> MetricResult | None:
        """Return the result of one metric, None when it was not measured."""
        return next((result for result in self.metrics if result.name == name), None)
