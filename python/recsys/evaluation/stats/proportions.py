"""Proportions of users (or of any independent units): intervals and the two-sample test.

Sources: Wilson (1927), JASA 22, for one proportion; Newcombe (1998), "Interval estimation for the difference
between independent proportions", Statistics in Medicine 17, method 10, for two; the pooled z-test is
standard; Clopper and Pearson (1934), Biometrika 26, for the exact interval.
"""

from __future__ import annotations

import math

from scipy import special

from recsys.contracts.errors import EvaluationError
from recsys.evaluation.stats.estimate import Difference, check_level, normal_quantile, two_sided_p_value


def wilson_interval(successes: int, trials: int, level: float) -> tuple[float, float]:
    """Return the score interval of a proportion, within [0, 1]."""
    _check_counts(successes, trials)
    check_level(level)
    z = normal_quantile(0.5 + level / 2.0)
    share = successes / trials
    centre = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials**2)) / (1 + z * z / trials)
    return max(0.0, centre - half), min(1.0, centre + half)


def exact_interval(successes: int, trials: int, level: float) -> tuple[float, float]:
    """Return the Clopper-Pearson interval of a proportion: it covers at least at ``level`` for every true
    value.
    """
    _check_counts(successes, trials)
    check_level(level)
    tail = (1.0 - level) / 2.0
    low = 0.0 if successes == 0 else float(special.betaincinv(successes, trials - successes + 1, tail))
    failures = trials - successes
    high = 1.0 if failures == 0 else float(special.betaincinv(successes + 1, failures, 1.0 - tail))
    return low, high


def two_proportions(
    control_successes: int, control_trials: int, candidate_successes: int, candidate_trials: int, level: float
) -> Difference:
    """Return candidate minus control share: pooled z-test for the p-value, Newcombe's hybrid score interval.

    The two answer slightly different questions (no difference; how large a difference), and may disagree at
    the border.
    """
    check_level(level)
    low_c, high_c = wilson_interval(control_successes, control_trials, level)
    low_t, high_t = wilson_interval(candidate_successes, candidate_trials, level)
    control = control_successes / control_trials
    candidate = candidate_successes / candidate_trials
    value = candidate - control
    low = value - math.hypot(candidate - low_t, high_c - control)
    high = value + math.hypot(high_t - candidate, control - low_c)
    pooled = (control_successes + candidate_successes) / (control_trials + candidate_trials)
    pooled_error = math.sqrt(pooled * (1 - pooled) * (1 / control_trials + 1 / candidate_trials))
    return Difference(
        value=value,
        standard_error=math.sqrt(
            control * (1 - control) / control_trials + candidate * (1 - candidate) / candidate_trials
        ),
        low=low,
        high=high,
        p_value=two_sided_p_value(value / pooled_error) if pooled_error > 0.0 else 1.0,
        level=level,
        method="two proportions (pooled z, Newcombe interval)",
    )


def _check_counts(successes: int, trials: int) -> None:
    if trials < 1 or not 0 <= successes <= trials:
        raise EvaluationError(
            f"a proportion needs 0 <= successes <= trials and trials >= 1, not {successes}/{trials}"
        )
