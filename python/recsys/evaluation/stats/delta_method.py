"""Ratio metrics when users are randomised but requests are counted: the delta method over users.

A click rate is (sum of clicks) / (sum of requests); requests of one user are correlated, so the user is the
unit.

Source: Deng, Knoblich and Lu (2018), "Applying the Delta Method in Metric Analytics", KDD (percent change,
and cluster randomisation).
"""

from __future__ import annotations

import math

import numpy as np

from recsys.contracts.errors import EvaluationError
from recsys.evaluation.stats.estimate import (
    Difference,
    FloatArray,
    Mean,
    check_finite,
    check_level,
    normal_difference,
    normal_quantile,
    two_sided_p_value,
)


def ratio(numerators: FloatArray, denominators: FloatArray) -> Mean:
    """Return sum(numerators) / sum(denominators) with its variance; one entry per user, shape ``(n_users,)``.

    With R the ratio, D the mean denominator and n users, Var(R) = Var(N_i - R D_i) / (n D^2): the first-order
    expansion, which is the paper's formula for clusters with its three terms gathered. A denominator of ones
    gives the plain mean. Raises ``EvaluationError`` for fewer than two users, unequal shapes, non-finite
    values or a denominator that sums to 0.
    """
    if numerators.shape != denominators.shape:
        raise EvaluationError(
            f"numerators have shape {numerators.shape}, denominators {denominators.shape}; they must agree"
        )
    n_users = numerators.size
    if n_users < 2:
        raise EvaluationError(f"a variance needs at least 2 users, there are {n_users}")
    check_finite(numerators, "numerators")
    check_finite(denominators, "denominators")
    mean_denominator = float(denominators.mean())
    if mean_denominator <= 0.0:
        raise EvaluationError("the denominators sum to 0: the ratio is not defined")
    value = float(numerators.mean()) / mean_denominator
    residuals = numerators - value * denominators
    variance = float(residuals @ residuals) / (n_users - 1) / (n_users * mean_denominator**2)
    return Mean(value=value, variance=variance, units=n_users)


def linearise(
    numerators: FloatArray, denominators: FloatArray, value: float, mean_denominator: float
) -> FloatArray:
    """Return each user's linear contribution to a ratio around ``value``: ``value + (N_i - value D_i) / D``.

    Its mean is the ratio when ``value`` and ``mean_denominator`` are the users' own, and the variance of its
    mean is the delta-method variance; so anything that takes one number per user (CUPED) also takes a ratio
    metric.
    """
    return value + (numerators - value * denominators) / mean_denominator


def difference(control: Mean, candidate: Mean, level: float) -> Difference:
    """Return candidate minus control with a normal interval and a two-sided p-value."""
    standard_error = math.sqrt(control.variance + candidate.variance)
    return normal_difference(candidate.value - control.value, standard_error, level, "delta method")


def relative_difference(control: Mean, candidate: Mean, level: float) -> Difference:
    """Return candidate / control - 1 with a delta-method interval.

    Var(T/C) = Var(T)/C^2 + T^2 Var(C)/C^4 for independent arms. Raises ``EvaluationError`` when the control's
    value is not positive, where a relative difference has no meaning.
    """
    check_level(level)
    if control.value <= 0.0:
        raise EvaluationError(f"a relative difference needs a positive control value, not {control.value:g}")
    quotient = candidate.value / control.value
    variance = (candidate.variance + quotient**2 * control.variance) / control.value**2
    standard_error = math.sqrt(variance)
    half = normal_quantile(0.5 + level / 2.0) * standard_error
    value = quotient - 1.0
    # The test is that of the absolute difference: "no difference" is one hypothesis, whatever the unit.
    absolute_error = math.sqrt(control.variance + candidate.variance)
    gap = candidate.value - control.value
    p_value = two_sided_p_value(gap / absolute_error) if absolute_error > 0.0 else float(gap == 0.0)
    return Difference(
        value=value,
        standard_error=standard_error,
        low=value - half,
        high=value + half,
        p_value=p_value,
        level=level,
        method="delta method",
        is_relative=True,
    )


def mean_of(values: FloatArray) -> Mean:
    """Return the mean of one number per user with its variance; the special case of a denominator of ones."""
    return ratio(values, np.ones_like(values))
