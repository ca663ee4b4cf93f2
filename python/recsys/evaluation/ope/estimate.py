"""What an estimator returns, and the interval that treats users as the independent units."""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from recsys.evaluation.stats.delta_method import ratio
from recsys.evaluation.stats.estimate import FloatArray, IntArray, check_level, normal_quantile


class OpeEstimate(Struct, frozen=True, kw_only=True):
    """The target policy's estimated reward per decision (or per list), with its interval at ``level``."""

    estimator: str
    value: float
    standard_error: float
    low: float
    high: float
    level: float
    rows: int
    users: int


def estimate_from(contributions: FloatArray, users: IntArray, level: float, estimator: str) -> OpeEstimate:
    """Return the mean of ``contributions`` (shape ``(n,)``) with a normal interval clustered by user.

    Rows of a user are summed, and the mean is a ratio over users (Deng, Knoblich and Lu 2018).
    Estimators that are ratios themselves pass their first-order contributions, whose mean is the estimate.
    """
    check_level(level)
    _, codes = np.unique(users, return_inverse=True)
    sums = np.bincount(codes, weights=contributions).astype(np.float64)
    counts = np.bincount(codes).astype(np.float64)
    mean = ratio(sums, counts)
    half = normal_quantile(0.5 + level / 2.0) * mean.standard_error
    return OpeEstimate(
        estimator=estimator,
        value=mean.value,
        standard_error=mean.standard_error,
        low=mean.value - half,
        high=mean.value + half,
        level=level,
        rows=contributions.size,
        users=mean.units,
    )
