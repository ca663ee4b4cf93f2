"""The analysis of an experiment over requests: users are the unit, arms are compared with care.

``analyse`` takes a table with one row per request, as ``join_logs`` makes it: ``user_id`` and ``variant``,
what the metrics' terms need (``clicks``, ``conversions``, ``value``, ``n_items``, ``error`` or columns of the
caller's own), ``latency_ms`` for latency guardrails, and ``ts`` or ``day`` for looks. ``analyse_joined`` does
the same on the connection of ``open_join``, for logs that do not fit in memory.
"""

from __future__ import annotations

import duckdb
import numpy as np
import pyarrow as pa
from msgspec.structs import replace

from recsys.contracts.errors import EvaluationError
from recsys.evaluation.database import open_database
from recsys.evaluation.experiment_guardrails import guard, guardrail_metrics
from recsys.evaluation.experiment_metrics import (
    adjust,
    cap_pair,
    compare,
    course,
    pair_of,
    sums_of,
    terms_of,
    trend_of,
)
from recsys.evaluation.experiment_results import ExperimentResult, MetricResult, Power
from recsys.evaluation.experiment_slices import slice_effects
from recsys.evaluation.experiment_units import Units, choose_requests, gather_units
from recsys.evaluation.plan import Metric, Plan, check_plan
from recsys.evaluation.stats.delta_method import relative_difference
from recsys.evaluation.stats.multiple import benjamini_hochberg, holm
from recsys.evaluation.stats.power import minimum_detectable_effect, power, users_per_arm
from recsys.evaluation.stats.srm import sample_ratio


def analyse(requests: pa.Table, plan: Plan) -> ExperimentResult:
    """Return the analysis; ``EvaluationError`` names the arm, column or metric that is missing or cannot be
    computed.
    """
    with open_database() as connection:
        connection.register("requests", requests)
        return analyse_joined(connection, plan)


def analyse_joined(
    connection: duckdb.DuckDBPyConnection, plan: Plan, source: str = "requests"
) -> ExperimentResult:
    """Return the analysis of table ``source`` of a connection; raises as :func:`analyse`."""
    check_plan(plan)
    try:
        choose_requests(connection, source, plan)
        measured = [*plan.family, *guardrail_metrics(plan).values()]
        units = gather_units(connection, (term for metric in measured for term in terms_of(metric)), plan)
        for arm in (plan.control_variant, plan.candidate_variant):
            units.is_in(arm)
        slices, too_small = slice_effects(connection, plan)
        results = [_measure(metric, units, plan) for metric in plan.family]
        guardrails = guard(connection, units, plan)
    except duckdb.Error as error:
        raise EvaluationError(f"cannot analyse the requests: {error}") from error
    p_values = np.array([result.absolute.p_value for result in results])
    adjusted, discovered = holm(p_values), benjamini_hochberg(p_values)
    return ExperimentResult(
        control=plan.control_variant,
        candidate=plan.candidate_variant,
        level=plan.level,
        requests=units.requests,
        requests_without_arm=units.requests_without_arm,
        sample_ratio=sample_ratio(units.users_per_arm(), plan.split),
        contaminated_users=units.contaminated_users,
        metrics=[
            replace(
                result,
                p_holm=float(adjusted[index]),
                p_benjamini_hochberg=float(discovered[index]),
                slices=slices[result.name],
            )
            for index, result in enumerate(results)
        ],
        guardrails=guardrails,
        power=_power(results, plan),
        slices_below_minimum=too_small,
    )


def _measure(metric: Metric, units: Units, plan: Plan) -> MetricResult:
    tops, bottoms = sums_of(metric, {term: units.totals(term) for term in terms_of(metric)})
    try:
        pair, cap = cap_pair(pair_of(tops, bottoms, units, plan), metric)
        control, candidate = pair.means()
        gap = compare(pair, metric, plan)
        adjusted = adjust(metric, units, plan, cap)
    except EvaluationError as error:
        raise EvaluationError(f"metric {metric.name!r}: {error}") from error
    looks, by_day = course(metric, units, plan, cap)
    return MetricResult(
        name=metric.name,
        numerator=metric.numerator,
        denominator=metric.denominator,
        lower_is_better=metric.lower_is_better,
        control=control,
        candidate=candidate,
        absolute=gap,
        relative=relative_difference(control, candidate, plan.level) if control.value > 0.0 else None,
        p_holm=1.0,
        p_benjamini_hochberg=1.0,
        minimum_detectable_effect=minimum_detectable_effect(gap.standard_error, 1.0 - plan.level),
        cap=cap,
        cuped=adjusted,
        looks=looks,
        by_day=by_day,
        trend=trend_of(by_day),
        slices=[],
    )


def _power(results: list[MetricResult], plan: Plan) -> Power | None:
    primary = plan.primary_metric
    if primary is None or primary.minimum_effect == 0.0:
        return None
    result = next(result for result in results if result.name == primary.name)
    error = result.absolute.standard_error
    if error <= 0.0:
        return None
    alpha = 1.0 - plan.level
    per_user = (
        result.control.variance * result.control.units + result.candidate.variance * result.candidate.units
    ) / 2
    return Power(
        metric=primary.name,
        effect=primary.minimum_effect,
        power=power(primary.minimum_effect, error, alpha),
        users_per_arm_needed=users_per_arm(primary.minimum_effect, per_user, alpha),
    )
