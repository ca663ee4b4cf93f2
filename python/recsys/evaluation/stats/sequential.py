"""Always-valid inference: intervals and p-values that hold however often one looks, by a normal-mixture SPRT.

Sources: Robbins (1970), "Statistical Methods Related to the Law of the Iterated Logarithm", Annals of Math.
Statistics 41; Johari, Pekelis and Walsh (2022), "Always Valid Inference: Continuous Monitoring of A/B Tests",
Operations Research 70 (the mixture SPRT with a normal mixture); Waudby-Smith, Arbour, Sinha, Kennedy and
Ramdas (2024), "Time-uniform central limit theory and asymptotic confidence sequences", Annals of Statistics
52 (the same interval without a normal outcome).

With an estimate d whose sampling variance is V and a mixture N(0, tau^2) over the true difference,

    LR = sqrt(V / (V + tau^2)) * exp(tau^2 d^2 / (2 V (V + tau^2))),

and P(LR ever exceeds 1/alpha) <= alpha when there is no difference. The guarantee needs estimates whose
increments are independent in information time 1/V, which sums over users satisfy and ratios of them satisfy
approximately; it is asymptotic, so the first look should have some hundred users in each arm.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from msgspec import Struct

from recsys.contracts.errors import EvaluationError
from recsys.evaluation.stats.estimate import check_level

INFORMATION_RATIO = 10.0
"""The interval is narrowest once this many times the information of the first look has come in."""


class Look(Struct, frozen=True, kw_only=True):
    """One look at a running comparison; ``p_value`` is the smallest so far, which is valid at any stopping
    time.
    """

    value: float
    standard_error: float
    low: float
    high: float
    p_value: float


def mixture_variance(first_look_variance: float, level: float) -> float:
    """Return tau^2 that makes the interval narrowest at ``INFORMATION_RATIO`` times the first look's
    information.

    From Waudby-Smith et al. (2024), the choice of rho: tau^2 / V* = -2 log(alpha) + log(-2 log(alpha)) + 1 at
    the planned variance V*. It depends on the first look alone, so that later data cannot move it.
    """
    check_level(level)
    if not first_look_variance > 0.0:
        raise EvaluationError("the first look has no variance: wait for users who differ")
    log_term = -2.0 * math.log(1.0 - level)
    return first_look_variance / INFORMATION_RATIO * (log_term + math.log(log_term) + 1.0)


def half_width(variance: float, tau_squared: float, level: float) -> float:
    """Return half the width of the confidence sequence: sqrt(V (V + tau^2) / tau^2 * log((V + tau^2) / (V
    alpha^2))).
    """
    _check(variance, tau_squared, level)
    alpha = 1.0 - level
    total = variance + tau_squared
    return math.sqrt(variance * total / tau_squared * math.log(total / (variance * alpha**2)))


def always_valid_p_value(value: float, variance: float, tau_squared: float) -> float:
    """Return min(1, 1 / LR) of one look; the p-value to report is the minimum over the looks so far."""
    _check(variance, tau_squared, 0.95)
    total = variance + tau_squared
    log_ratio = 0.5 * math.log(variance / total) + tau_squared * value**2 / (2.0 * variance * total)
    return math.exp(min(0.0, -log_ratio))


def confidence_sequence(
    values: Sequence[float], variances: Sequence[float], *, tau_squared: float, level: float
) -> list[Look]:
    """Return one ``Look`` per (difference, sampling variance), in the order in which they were taken."""
    if len(values) != len(variances):
        raise EvaluationError(f"{len(values)} differences but {len(variances)} variances")
    looks: list[Look] = []
    smallest = 1.0
    for value, variance in zip(values, variances, strict=True):
        half = half_width(variance, tau_squared, level)
        smallest = min(smallest, always_valid_p_value(value, variance, tau_squared))
        looks.append(
            Look(
                value=value,
                standard_error=math.sqrt(variance),
                low=value - half,
                high=value + half,
                p_value=smallest,
            )
        )
    return looks


def _check(variance: float, tau_squared: float, level: float) -> None:
    check_level(level)
    if not (variance > 0.0 and tau_squared > 0.0):
        raise EvaluationError(
            f"variance and mixture variance must be positive, not {variance} and {tau_squared}"
        )
