"""The analysis of an experiment over a table of requests: users are the unit, arms are compared with care.

``analyse`` wants one row per request with ``user_id``, ``variant``, one numeric column per metric and, where
guardrails need them, ``latency_ms``, ``is_error`` and ``is_empty``; ``day`` (an integer or a date) gives
looks and novelty.
"""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
from msgspec import Struct

from recsys.contracts.errors import EvaluationError
from recsys.evaluation.experiment_units import Units, assign_units
from recsys.evaluation.stats.delta_method import difference, ratio, relative_difference
from recsys.evaluation.stats.estimate import Difference, FloatArray, Mean
from recsys.evaluation.stats.multiple import benjamini_hochberg, holm
from recsys.evaluation.stats.noninferiority import NonInferiority, non_inferiority
from recsys.evaluation.stats.power import minimum_detectable_effect
from recsys.evaluation.stats.quantile_ci import quantile_interval
from recsys.evaluation.stats.sequential import Look, confidence_sequence, mixture_variance
from recsys.evaluation.stats.srm import SampleRatio, sample_ratio


class RatioMetric(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """sum(numerator) / sum(denominator) over requests; without a denominator, per request."""

    name: str
    numerator: str
    denominator: str | None = None


class ExperimentPlan(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is compared. ``shares`` is the declared split; ``metrics`` is the family that p-values are
    adjusted over.

    Margins: ``p95_latency_margin`` is relative (0.1 is +10 %), the two rates' are absolute (0.005 is half a
    point); ``None`` leaves the guardrail out.
    """

    control: str
    candidate: str
    shares: dict[str, float]
    metrics: list[RatioMetric]
    level: float = 0.95
    p95_latency_margin: float | None = None
    error_rate_margin: float | None = None
    empty_list_margin: float | None = None


class MetricResult(Struct, frozen=True, kw_only=True):
    """One metric: both arms, fixed-horizon differences, adjusted p-values, what was detectable, and the looks
    by day.

    ``looks`` are cumulative and always valid; ``by_day`` is each day alone, where an effect that fades is
    novelty.
    """

    name: str
    control: Mean
    candidate: Mean
    absolute: Difference
    relative: Difference | None
    p_holm: float
    p_benjamini_hochberg: float
    minimum_detectable_effect: float
    looks: list[Look]
    by_day: dict[str, Difference]


class ExperimentResult(Struct, frozen=True, kw_only=True):
    """The whole analysis."""

    control: str
    candidate: str
    requests: int
    sample_ratio: SampleRatio
    contaminated_users: int
    metrics: list[MetricResult]
    guardrails: dict[str, NonInferiority]


def analyse(requests: pa.Table, plan: ExperimentPlan) -> ExperimentResult:
    """Return the analysis; ``EvaluationError`` names the arm, column or metric that is missing or cannot be
    computed.
    """
    if not plan.metrics:
        raise EvaluationError("an experiment needs at least one metric")
    for arm in (plan.control, plan.candidate):
        if arm not in plan.shares:
            raise EvaluationError(f"arm {arm!r} has no declared share")
    units = assign_units(requests)
    kept = requests.filter(pa.array(units.kept))
    days = _days(kept)
    results = [_metric(kept, units, metric, plan, days) for metric in plan.metrics]
    p_values = np.array([result[2].p_value for result in results])
    adjusted, discovered = holm(p_values), benjamini_hochberg(p_values)
    return ExperimentResult(
        control=plan.control,
        candidate=plan.candidate,
        requests=requests.num_rows,
        sample_ratio=sample_ratio(units.users_per_arm(), plan.shares),
        contaminated_users=units.contaminated_users,
        metrics=[
            MetricResult(
                name=metric.name,
                control=control,
                candidate=candidate,
                absolute=gap,
                relative=relative_difference(control, candidate, plan.level) if control.value > 0.0 else None,
                p_holm=float(adjusted[index]),
                p_benjamini_hochberg=float(discovered[index]),
                minimum_detectable_effect=minimum_detectable_effect(gap.standard_error, 1.0 - plan.level),
                looks=looks,
                by_day=by_day,
            )
            for index, (metric, (control, candidate, gap, looks, by_day)) in enumerate(
                zip(plan.metrics, results, strict=True)
            )
        ],
        guardrails=_guardrails(kept, units, plan),
    )


def _metric(
    kept: pa.Table,
    units: Units,
    metric: RatioMetric,
    plan: ExperimentPlan,
    days: tuple[list[str], FloatArray],
) -> tuple[Mean, Mean, Difference, list[Look], dict[str, Difference]]:
    top = _column(kept, metric.numerator)
    bottom = _column(kept, metric.denominator) if metric.denominator else np.ones(kept.num_rows)
    control, candidate = (_mean(units, top, bottom, arm) for arm in (plan.control, plan.candidate))
    gaps: list[Difference] = []
    by_day: dict[str, Difference] = {}
    names, day_of_row = days
    for index, name in enumerate(names):
        for mask, is_cumulative in ((day_of_row <= index, True), (day_of_row == index, False)):
            try:
                pair = [
                    _mean(units, top * mask, bottom * mask, arm) for arm in (plan.control, plan.candidate)
                ]
            except (
                EvaluationError
            ):  # a day on which an arm has nobody yet says nothing; the whole was checked above
                continue
            gap = difference(pair[0], pair[1], plan.level)
            if is_cumulative:
                gaps.append(gap)
            else:
                by_day[name] = gap
    gaps = [gap for gap in gaps if gap.standard_error > 0.0]
    looks: list[Look] = []
    if gaps:
        tau_squared = mixture_variance(gaps[0].standard_error ** 2, plan.level)
        variances = [gap.standard_error**2 for gap in gaps]
        values = [gap.value for gap in gaps]
        looks = confidence_sequence(values, variances, tau_squared=tau_squared, level=plan.level)
    return control, candidate, difference(control, candidate, plan.level), looks, by_day


def _guardrails(kept: pa.Table, units: Units, plan: ExperimentPlan) -> dict[str, NonInferiority]:
    found: dict[str, NonInferiority] = {}
    for name, column, margin in (
        ("error_rate", "is_error", plan.error_rate_margin),
        ("empty_list_rate", "is_empty", plan.empty_list_margin),
    ):
        if margin is not None:
            values, ones = _column(kept, column), np.ones(kept.num_rows)
            arms = [_mean(units, values, ones, arm) for arm in (plan.control, plan.candidate)]
            gap = difference(arms[0], arms[1], plan.level)
            found[name] = non_inferiority(gap.value, gap.standard_error, margin, plan.level)
    if plan.p95_latency_margin is not None:
        latency = _column(kept, "latency_ms")
        quantiles = []
        for arm in (plan.control, plan.candidate):
            rows = units.requests_in(arm)
            quantiles.append(quantile_interval(latency[rows], units.user[rows], 0.95, plan.level))
        before, after = quantiles
        if before.value <= 0.0:
            raise EvaluationError("latency_ms: the control's p95 is 0, so a relative margin has no meaning")
        quotient = after.value / before.value
        error = math.hypot(after.standard_error, quotient * before.standard_error) / before.value
        found["p95_latency"] = non_inferiority(quotient - 1.0, error, plan.p95_latency_margin, plan.level)
    return found


def _mean(units: Units, top: FloatArray, bottom: FloatArray, arm: str) -> Mean:
    tops, bottoms = units.sums(top, arm), units.sums(bottom, arm)
    is_seen = (bottoms != 0.0) | (tops != 0.0)  # a user with nothing in the window is not yet part of it
    return ratio(tops[is_seen], bottoms[is_seen])


def _column(table: pa.Table, name: str) -> FloatArray:
    if name not in table.column_names:
        raise EvaluationError(f"column {name!r} is missing; there are: {', '.join(table.column_names)}")
    column = table.column(name).combine_chunks()
    if column.null_count:
        raise EvaluationError(f"column {name!r}: {column.null_count} values are missing")
    values = np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)
    defects = int(np.count_nonzero(~np.isfinite(values)))
    if defects:
        raise EvaluationError(f"column {name!r}: {defects} values are NaN or infinite")
    return values


def _days(kept: pa.Table) -> tuple[list[str], FloatArray]:
    if "day" not in kept.column_names:
        return [], np.zeros(kept.num_rows)
    names, codes = np.unique(np.asarray(kept.column("day").to_pylist()), return_inverse=True)
    return [str(name) for name in names], codes.astype(np.float64)
