"""Welch's test of two means with unequal variances.

Source: Welch (1947), "The Generalization of 'Student's' Problem when Several Different Population Variances
are Involved", Biometrika 34; degrees of freedom after Satterthwaite (1946), Biometrics Bulletin 2.
"""

from __future__ import annotations

import math

from scipy import special

from recsys.evaluation.stats.estimate import Difference, Mean, check_level


def welch(control: Mean, candidate: Mean, level: float) -> Difference:
    """Return candidate minus control with Student intervals; the means carry the variance of the mean (s^2 /
    n).

    Degrees of freedom: (v1 + v2)^2 / (v1^2 / (n1 - 1) + v2^2 / (n2 - 1)). Two constant arms have no noise: p
    is 1 when they are equal and 0 when not.
    """
    check_level(level)
    value = candidate.value - control.value
    variance = control.variance + candidate.variance
    if variance == 0.0:
        p_value, half = float(value == 0.0), 0.0
    else:
        freedom = variance**2 / (
            control.variance**2 / (control.units - 1) + candidate.variance**2 / (candidate.units - 1)
        )
        t = value / math.sqrt(variance)
        p_value = float(2.0 * special.stdtr(freedom, -abs(t)))
        half = float(special.stdtrit(freedom, 0.5 + level / 2.0)) * math.sqrt(variance)
    return Difference(
        value=value,
        standard_error=math.sqrt(variance),
        low=value - half,
        high=value + half,
        p_value=p_value,
        level=level,
        method="Welch t-test",
    )
