"""The guardrails of an experiment: latency by quantile, rates and metrics, each as a non-inferiority test."""

from __future__ import annotations

import math

import duckdb
import numpy as np

from recsys.contracts.errors import EvaluationError
from recsys.evaluation.experiment_metrics import compare, pair_of, sums_of
from recsys.evaluation.experiment_results import Guardrail
from recsys.evaluation.experiment_units import Units, columns_of
from recsys.evaluation.plan import LATENCY, RATES, Metric, Plan
from recsys.evaluation.stats.noninferiority import non_inferiority
from recsys.evaluation.stats.quantile_ci import Quantile, quantile_interval


def guardrail_metrics(plan: Plan) -> dict[str, Metric]:
    """Return the guardrails that are metrics by name: the rates, and members of the plan's own family."""
    family = {metric.name: metric for metric in plan.family}
    return {
        name: family.get(name) or Metric(name=name, numerator=RATES[name], lower_is_better=True)
        for name in plan.guardrails
        if name in family or name in RATES
    }


def guard(connection: duckdb.DuckDBPyConnection, units: Units, plan: Plan) -> dict[str, Guardrail]:
    """Return every guardrail of the plan; ``EvaluationError`` names one that cannot be measured."""
    metrics = guardrail_metrics(plan)
    found: dict[str, Guardrail] = {}
    for name, margin in plan.guardrails.items():
        if name in metrics:
            found[name] = _guard_metric(metrics[name], units, plan, margin)
            continue
        latency = LATENCY.match(name)
        if latency is None:
            raise EvaluationError(f"guardrail {name!r} is unknown")
        found[name] = _guard_latency(connection, int(latency["percent"]) / 100, plan, margin, name)
    return found


def _guard_metric(metric: Metric, units: Units, plan: Plan, margin: float) -> Guardrail:
    sums = {term: units.totals(term) for term in units.sums}
    pair = pair_of(*sums_of(metric, sums), units, plan)
    control, candidate = pair.means()
    gap = compare(pair, metric, plan)
    harm = gap.value if metric.lower_is_better else -gap.value
    return Guardrail(
        control=control.value,
        candidate=candidate.value,
        is_relative=False,
        test=non_inferiority(harm, gap.standard_error, margin, plan.level),
    )


def _guard_latency(
    connection: duckdb.DuckDBPyConnection, probability: float, plan: Plan, margin: float, name: str
) -> Guardrail:
    if "latency_ms" not in columns_of(connection, "chosen"):
        raise EvaluationError(f"guardrail {name!r}: column 'latency_ms' is missing")
    control, candidate = (
        _quantile(connection, arm, probability, plan, name)
        for arm in (plan.control_variant, plan.candidate_variant)
    )
    if control.value <= 0.0:
        raise EvaluationError(f"guardrail {name!r}: the control's is 0, so a relative margin has no meaning")
    quotient = candidate.value / control.value
    error = math.hypot(candidate.standard_error, quotient * control.standard_error) / control.value
    return Guardrail(
        control=control.value,
        candidate=candidate.value,
        is_relative=True,
        test=non_inferiority(quotient - 1.0, error, margin, plan.level),
    )


def _quantile(
    connection: duckdb.DuckDBPyConnection, arm: str, probability: float, plan: Plan, name: str
) -> Quantile:
    """Return the quantile over the requests that have a latency; requests without one are left out."""
    rows = connection.sql(
        "SELECT code, latency_ms::DOUBLE AS latency_ms FROM chosen JOIN units USING (user_id) "
        "WHERE is_in_period AND variant IS NOT NULL AND arm = ? AND latency_ms IS NOT NULL",
        params=[arm],
    ).to_arrow_table()
    if rows.num_rows == 0:
        raise EvaluationError(f"guardrail {name!r}: no request of arm {arm!r} has a latency_ms")
    try:
        return quantile_interval(
            np.asarray(rows["latency_ms"].to_numpy(), dtype=np.float64),
            rows["code"].to_numpy().astype(np.int64),
            probability,
            plan.level,
        )
    except EvaluationError as error:
        raise EvaluationError(f"guardrail {name!r}, arm {arm!r}: {error}") from error
