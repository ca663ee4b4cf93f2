"""Can these logs answer the question? Effective sample size, mean weight and overlap, each with advice.

Sources: Kish (1965), "Survey Sampling" (effective sample size (sum w)^2 / sum w^2); the mean weight is 1 in
expectation when the propensities are right and the logging policy covers the target (standard).
"""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from recsys.evaluation.ope.estimate import estimate_from
from recsys.evaluation.ope.log import BanditLog

LEAST_EFFECTIVE_SHARE = 0.05
LEAST_EFFECTIVE_ROWS = 100.0
LARGEST_ROW_SHARE = 0.05


class Diagnostics(Struct, frozen=True, kw_only=True):
    """Measures of the weights; ``advice`` says in words what is wrong, and is empty when nothing is."""

    rows: int
    rows_set_aside: int
    effective_rows: float
    mean_weight: float
    mean_weight_low: float
    mean_weight_high: float
    largest_weight: float
    largest_row_share: float
    zero_weight_share: float
    advice: list[str]


def diagnose(log: BanditLog) -> Diagnostics:
    """Return the diagnostics; the mean weight's interval is at 99 %, so that chance alone rarely raises
    it.
    """
    weights = log.weights
    total = float(weights.sum())
    effective = total**2 / float(weights @ weights) if total > 0.0 else 0.0
    mean = estimate_from(weights, log.users, 0.99, "mean weight")
    largest_share = float(weights.max()) / total if total > 0.0 else 0.0
    zero_share = float(np.mean(weights == 0.0))
    advice: list[str] = []
    if log.rows_set_aside:
        advice.append(
            f"{log.rows_set_aside} rows have a missing or zero logging propensity and were set aside; "
            "the estimates speak of the others only: have the server log what it drew from"
        )
    if total == 0.0:
        advice.append("the target never shows what was logged: no estimate from these logs means anything")
    else:
        if not mean.low <= 1.0 <= mean.high:
            advice.append(
                f"the mean weight is {mean.value:.3f} and should be 1: the propensities are not those of the "
                "policy that served, or the target shows items that the logging policy never did; "
                "prefer no decision"
            )
        if effective < LEAST_EFFECTIVE_ROWS or effective < LEAST_EFFECTIVE_SHARE * weights.size:
            advice.append(
                f"{weights.size} rows are worth {effective:.0f}: the policies overlap little; log with more "
                f"exploration, "
                "or evaluate a policy nearer to the logged one"
            )
        if largest_share > LARGEST_ROW_SHARE:
            advice.append(
                f"one row carries {largest_share:.0%} of all weight: clip the weights and read what that "
                f"costs, "
                "or use an estimator that shrinks them"
            )
    return Diagnostics(
        rows=weights.size,
        rows_set_aside=log.rows_set_aside,
        effective_rows=effective,
        mean_weight=mean.value,
        mean_weight_low=mean.low,
        mean_weight_high=mean.high,
        largest_weight=float(weights.max()),
        largest_row_share=largest_share,
        zero_weight_share=zero_share,
        advice=advice,
    )
