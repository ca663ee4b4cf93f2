"""One metric of an experiment: the test at the end, the adjusted one, the looks on the way, and each day."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from msgspec.structs import replace

from recsys.contracts.errors import EvaluationError
from recsys.evaluation.experiment_results import Adjusted, DayEffect, DayLook, Trend
from recsys.evaluation.experiment_units import Units
from recsys.evaluation.plan import USERS, Metric, Plan
from recsys.evaluation.stats.bootstrap import bootstrap_difference
from recsys.evaluation.stats.cuped import cuped
from recsys.evaluation.stats.delta_method import difference, linearise, ratio
from recsys.evaluation.stats.estimate import Difference, FloatArray, Mean, two_sided_p_value
from recsys.evaluation.stats.proportions import two_proportions
from recsys.evaluation.stats.sequential import confidence_sequence, mixture_variance
from recsys.evaluation.stats.welch import welch
from recsys.evaluation.stats.winsorise import Cap, winsorise

LEAST_USERS_PER_LOOK = 100
"""Users that each arm needs before a look counts: the always-valid interval is asymptotic."""

LEAST_DAYS_FOR_TREND = 4


@dataclass(frozen=True, slots=True)
class Pair:
    """Numerators and denominators of both arms' users; an entry per user of the metric."""

    control: tuple[FloatArray, FloatArray]
    candidate: tuple[FloatArray, FloatArray]

    def means(self) -> tuple[Mean, Mean]:
        """Return the ratio of each arm."""
        return ratio(*self.control), ratio(*self.candidate)


def pair_of(tops: FloatArray, bottoms: FloatArray, units: Units, plan: Plan) -> Pair:
    """Return the users of both arms; one with nothing in either sum is not (yet) part of the metric."""
    is_seen = (bottoms != 0.0) | (tops != 0.0)
    control, candidate = (
        units.is_in(arm) & is_seen for arm in (plan.control_variant, plan.candidate_variant)
    )
    return Pair((tops[control], bottoms[control]), (tops[candidate], bottoms[candidate]))


def terms_of(metric: Metric) -> list[str]:
    """Return the sums that a metric needs; a mean per user needs to know who has requests."""
    return [metric.numerator, "requests" if metric.denominator == USERS else metric.denominator]


def sums_of(metric: Metric, sums: dict[str, FloatArray]) -> tuple[FloatArray, FloatArray]:
    """Return numerators and denominators per user from the sums by term."""
    top, bottom = sums[metric.numerator], sums[terms_of(metric)[1]]
    if metric.test == "proportion":
        top = (top > 0.0).astype(np.float64)
    return top, (bottom > 0.0).astype(np.float64) if metric.denominator == USERS else bottom


def cap_pair(pair: Pair, metric: Metric) -> tuple[Pair, Cap | None]:
    """Return the pair with outliers pulled in when the metric asks for it, and the cap."""
    if metric.winsorise is None:
        return pair, None
    tops, cap = winsorise([pair.control[0], pair.candidate[0]], metric.winsorise)
    return Pair((tops[0], pair.control[1]), (tops[1], pair.candidate[1])), cap


def compare(pair: Pair, metric: Metric, plan: Plan) -> Difference:
    """Return candidate minus control by the metric's own test."""
    if metric.test == "bootstrap":
        return bootstrap_difference(
            pair.control, pair.candidate, level=plan.level, replicates=plan.replicates, seed=plan.seed
        )
    if metric.test == "proportion":
        (before, _), (after, _) = pair.control, pair.candidate
        return two_proportions(int(before.sum()), before.size, int(after.sum()), after.size, plan.level)
    control, candidate = pair.means()
    return (welch if metric.test == "welch" else difference)(control, candidate, plan.level)


def adjust(metric: Metric, units: Units, plan: Plan, cap: Cap | None) -> Adjusted | None:
    """Return the difference adjusted by CUPED; None without a pre-period in which anybody was seen.

    Both the metric and the pre-period are linearised, so a ratio has one number per user; who was not seen
    before stands at the mean.
    """
    if not units.before:
        return None
    tops, bottoms = sums_of(metric, {term: units.totals(term) for term in terms_of(metric)})
    tops = np.minimum(tops, cap.value) if cap else tops
    before_tops, before_bottoms = sums_of(metric, units.before)
    is_known = before_bottoms > 0.0
    if int(np.count_nonzero(is_known)) < 2:
        return None
    earlier = ratio(before_tops[is_known], before_bottoms[is_known])
    before = linearise(before_tops, before_bottoms, earlier.value, float(before_bottoms[is_known].mean()))
    arms: list[FloatArray] = []
    for arm in (plan.control_variant, plan.candidate_variant):
        mine = units.is_in(arm) & ((bottoms != 0.0) | (tops != 0.0))
        now = ratio(tops[mine], bottoms[mine])
        arms += [linearise(tops[mine], bottoms[mine], now.value, float(bottoms[mine].mean())), before[mine]]
    got = cuped(arms[0], arms[1], arms[2], arms[3], plan.level)
    return Adjusted(
        difference=got.difference,
        theta=got.theta,
        variance_reduction=got.variance_reduction,
        users_before=int(np.count_nonzero(is_known)),
    )


def course(
    metric: Metric, units: Units, plan: Plan, cap: Cap | None
) -> tuple[list[DayLook], list[DayEffect]]:
    """Return what was known after each day, and each day alone; days with too few users are left out.

    Looks are compared by the delta method, whatever the metric's test at the end: an always-valid interval
    needs a variance.
    """
    so_far = {term: np.zeros(units.arm_of_user.size) for term in terms_of(metric)}
    looks: list[tuple[str, Difference]] = []
    by_day: list[DayEffect] = []
    for spot, name in enumerate(units.days):
        cells = units.cells_of_day(spot)
        today = {term: units.totals(term, cells) for term in so_far}
        so_far = {term: so_far[term] + today[term] for term in so_far}
        known = _difference(metric, so_far, units, plan, cap)
        alone = _difference(metric, today, units, plan, cap)
        if known is not None and known.standard_error > 0.0:
            looks.append((name, known))
        if alone is not None:
            by_day.append(DayEffect(day=name, effect=alone))
    if not looks:
        return [], by_day
    tau_squared = mixture_variance(looks[0][1].standard_error ** 2, plan.level)
    sequence = confidence_sequence(
        [gap.value for _, gap in looks],
        [gap.standard_error**2 for _, gap in looks],
        tau_squared=tau_squared,
        level=plan.level,
    )
    return [
        DayLook(day=day, always_valid=look, fixed_low=gap.low, fixed_high=gap.high)
        for (day, gap), look in zip(looks, sequence, strict=True)
    ], by_day


def trend_of(by_day: list[DayEffect]) -> Trend | None:
    """Return the weighted least-squares slope of the days' effects (standard); None for fewer than four days.

    Days share users, so the p-value is a hint and no test of its own.
    """
    effects = [day.effect for day in by_day if day.effect.standard_error > 0.0]
    if len(effects) < LEAST_DAYS_FOR_TREND:
        return None
    weights = np.array([1.0 / effect.standard_error**2 for effect in effects])
    spots = np.arange(len(effects), dtype=np.float64)
    centred = spots - (weights @ spots) / weights.sum()
    information = float(weights @ centred**2)
    slope = float((weights * centred) @ np.array([effect.value for effect in effects])) / information
    error = 1.0 / math.sqrt(information)
    return Trend(per_day=slope, standard_error=error, p_value=two_sided_p_value(slope / error))


def _difference(
    metric: Metric, sums: dict[str, FloatArray], units: Units, plan: Plan, cap: Cap | None
) -> Difference | None:
    tops, bottoms = sums_of(metric, sums)
    pair = pair_of(np.minimum(tops, cap.value) if cap else tops, bottoms, units, plan)
    if min(pair.control[0].size, pair.candidate[0].size) < LEAST_USERS_PER_LOOK:
        return None
    try:
        control, candidate = pair.means()
    except EvaluationError:  # nobody has a denominator yet; the whole period is checked by itself
        return None
    return replace(difference(control, candidate, plan.level), method="delta method")
