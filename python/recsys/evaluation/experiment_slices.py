"""Where the effect is: each metric by the values of a dimension of the requests, such as surface."""

from __future__ import annotations

import duckdb
import numpy as np
import pyarrow as pa

from recsys.contracts.errors import EvaluationError
from recsys.evaluation.experiment_metrics import Pair, compare, sums_of, terms_of
from recsys.evaluation.experiment_results import SliceEffect
from recsys.evaluation.experiment_units import check_term, columns_of, quoted
from recsys.evaluation.plan import Metric, Plan
from recsys.evaluation.stats.estimate import FloatArray

NOT_GIVEN = "(not given)"


def slice_effects(
    connection: duckdb.DuckDBPyConnection, plan: Plan
) -> tuple[dict[str, list[SliceEffect]], int]:
    """Return by metric its effect in every slice, largest first, and how many slices had too few users.

    Slices are read from the table ``chosen``; a dimension that it lacks has none. They are a look for where
    to look: their p-values are not corrected.
    """
    found: dict[str, list[SliceEffect]] = {metric.name: [] for metric in plan.family}
    terms = sorted({term for metric in plan.family for term in terms_of(metric)})
    columns = columns_of(connection, "chosen")
    too_small = 0
    for dimension in plan.slices:
        if dimension not in columns:
            continue
        sums = ", ".join(
            f"coalesce(sum(({check_term(connection, term)})::DECIMAL(38, 9)), 0)::DOUBLE AS s{number}"
            for number, term in enumerate(terms)
        )
        rows = connection.sql(
            f"SELECT coalesce({quoted(dimension)}::VARCHAR, '{NOT_GIVEN}') AS value, arm, code, {sums} "  # noqa: S608
            "FROM chosen JOIN units USING (user_id) "
            "WHERE is_in_period AND variant IS NOT NULL AND arm IN (?, ?) GROUP BY ALL ORDER BY value, code",
            params=[plan.control_variant, plan.candidate_variant],
        ).to_arrow_table()
        if len(rows["value"].unique()) < 2:
            continue
        too_small += _add_dimension(dimension, rows, terms, plan, found)
    return {
        name: sorted(
            effects, key=lambda row: (row.dimension, -row.control_users - row.candidate_users, row.value)
        )
        for name, effects in found.items()
    }, too_small


def _add_dimension(
    dimension: str, rows: pa.Table, terms: list[str], plan: Plan, found: dict[str, list[SliceEffect]]
) -> int:
    encoded = rows["value"].combine_chunks().dictionary_encode()
    values = encoded.indices.to_numpy(zero_copy_only=False)
    is_candidate = rows["arm"].to_numpy() == plan.candidate_variant
    sums = {term: rows[f"s{number}"].to_numpy() for number, term in enumerate(terms)}
    too_small = 0
    for code, value in enumerate(encoded.dictionary.to_pylist()):
        mine = values == code
        users = [int(np.count_nonzero(mine & (is_candidate == arm))) for arm in (False, True)]
        if min(users) < plan.minimum_users_per_slice:
            too_small += 1
            continue
        for metric in plan.family:
            arms = [
                {term: sums[term][mine & (is_candidate == arm)] for term in terms} for arm in (False, True)
            ]
            effect = _effect(dimension, str(value), metric, arms, plan)
            if effect is not None:
                found[metric.name].append(effect)
    return too_small


def _effect(
    dimension: str, value: str, metric: Metric, arms: list[dict[str, FloatArray]], plan: Plan
) -> SliceEffect | None:
    pair = Pair(*(sums_of(metric, arm) for arm in arms))
    try:
        effect = compare(pair, metric, plan)
    except EvaluationError:  # a ratio without a denominator in this slice
        return None
    return SliceEffect(
        dimension=dimension,
        value=value,
        control_users=pair.control[0].size,
        candidate_users=pair.candidate[0].size,
        effect=effect,
    )
