"""A quantile of requests (p95 latency) when users are the independent unit.

Source: Deng, Knoblich and Lu (2018), "Applying the Delta Method in Metric Analytics", KDD
(percentile metrics, the outer interval): the share of requests at or under the quantile is a ratio metric
over users; its delta-method interval around the wanted share, read back through the empirical distribution,
is the interval of the quantile. No density is estimated.
"""

from __future__ import annotations

import math

import numpy as np
from msgspec import Struct

from recsys.contracts.errors import EvaluationError
from recsys.evaluation.stats.delta_method import ratio
from recsys.evaluation.stats.estimate import FloatArray, IntArray, check_finite, check_level, normal_quantile


class Quantile(Struct, frozen=True, kw_only=True):
    """The quantile in the values' unit, its interval, and a standard error read off the interval's width."""

    value: float
    low: float
    high: float
    standard_error: float
    level: float
    requests: int
    users: int


def quantile_interval(
    values: FloatArray, users: IntArray, probability: float, level: float = 0.95
) -> Quantile:
    """Return the ``probability`` quantile of ``values``; ``users`` are codes of shape ``(n_requests,)`` (any
    integers).

    The standard error is (high - low) / (2 z). Raises ``EvaluationError`` when there are too few requests for
    the interval's ends to lie inside the data: then the quantile has no bound and no guardrail can rest on
    it.
    """
    check_level(level)
    if not 0.0 < probability < 1.0:
        raise EvaluationError(f"a quantile's probability must lie between 0 and 1, not {probability}")
    if values.shape != users.shape or values.size == 0:
        raise EvaluationError("a quantile needs at least one value, and one user code for each")
    check_finite(values, "values")
    ordered = np.sort(values)
    value = _at(ordered, probability)
    _, codes = np.unique(users, return_inverse=True)
    requests = np.bincount(codes).astype(np.float64)
    under = np.bincount(codes, weights=(values <= value).astype(np.float64)).astype(np.float64)
    # Ties at the quantile make the indicator's own share exceed the wanted one; centring on the share asked
    # for, with the variance of the indicator, is what the outer interval does.
    share_error = ratio(under, requests).standard_error
    z = normal_quantile(0.5 + level / 2.0)
    low_share, high_share = probability - z * share_error, probability + z * share_error
    has_nothing_above = value == ordered[-1] and float(under.sum()) == values.size
    if has_nothing_above and int(np.count_nonzero(values == value)) > 1:
        raise EvaluationError(
            f"quantile {probability} is the largest value, {value:g}, which a constant or a cap has: "
            "nothing bounds it from above"
        )
    if has_nothing_above or low_share <= 0.0 or high_share >= 1.0:
        raise EvaluationError(
            f"{values.size} requests of {requests.size} users are too few "
            f"for an interval of quantile {probability}"
        )
    low, high = _at(ordered, low_share), _at(ordered, high_share)
    return Quantile(
        value=value,
        low=low,
        high=high,
        standard_error=(high - low) / (2.0 * z),
        level=level,
        requests=values.size,
        users=requests.size,
    )


def _at(ordered: FloatArray, probability: float) -> float:
    return float(ordered[min(ordered.size - 1, max(0, math.ceil(probability * ordered.size) - 1))])
