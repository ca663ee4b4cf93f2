"""Power, minimum detectable effect and sample size of a two-arm comparison by the normal approximation
(standard).

Source: Lehr (1992), Statistics in Medicine 11, and any text on sample size; the tail on the far side is kept,
so that power at no effect is the test's own level.
"""

from __future__ import annotations

import math

from scipy import special

from recsys.contracts.errors import EvaluationError
from recsys.evaluation.stats.estimate import normal_quantile


def power(effect: float, standard_error: float, alpha: float = 0.05) -> float:
    """Return the chance that a two-sided test at ``alpha`` rejects when the true difference is ``effect``."""
    if standard_error <= 0.0:
        raise EvaluationError(f"power needs a positive standard error, not {standard_error}")
    z = normal_quantile(1.0 - alpha / 2.0)
    shift = effect / standard_error
    return float(special.ndtr(shift - z) + special.ndtr(-shift - z))


def minimum_detectable_effect(standard_error: float, alpha: float = 0.05, target: float = 0.8) -> float:
    """Return the true difference found with probability ``target``: (z_(1-alpha/2) + z_target) times the
    standard error.
    """
    if standard_error < 0.0:
        raise EvaluationError(f"the standard error must not be negative, it is {standard_error}")
    return (normal_quantile(1.0 - alpha / 2.0) + normal_quantile(target)) * standard_error


def users_per_arm(effect: float, variance_per_user: float, alpha: float = 0.05, target: float = 0.8) -> int:
    """Return users needed in each of two equal arms: 2 sigma^2 (z_(1-alpha/2) + z_target)^2 / effect^2,
    rounded up.
    """
    if effect == 0.0:
        raise EvaluationError("no number of users finds an effect of 0")
    z = normal_quantile(1.0 - alpha / 2.0) + normal_quantile(target)
    return max(2, math.ceil(2.0 * variance_per_user * (z / effect) ** 2))
