"""Sample-ratio mismatch: do the arms hold the users that the declared split gives them?

Source: Fabijan et al. (2019), "Diagnosing Sample Ratio Mismatch in Online Controlled Experiments", KDD; the
test is Pearson's chi-squared goodness of fit (1900). It counts users, the randomised unit, and every declared
arm, also an empty one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from msgspec import Struct
from scipy import special

from recsys.contracts.errors import EvaluationError


class SampleRatio(Struct, frozen=True, kw_only=True):
    """Users seen and expected per declared arm, the p-value, and whether the split is off at ``alpha``."""

    observed: dict[str, int]
    expected: dict[str, float]
    undeclared: dict[str, int]
    chi_squared: float
    p_value: float
    alpha: float
    is_mismatch: bool


def sample_ratio(
    observed: Mapping[str, int], shares: Mapping[str, float], alpha: float = 0.001
) -> SampleRatio:
    """Return the check of users per arm against the declared ``shares`` (positive; scaled to sum to 1).

    An arm without users counts 0. Arms that nobody declared are reported and are a mismatch by themselves.
    ``alpha`` is small because the check runs on every look at every experiment.
    """
    if len(shares) < 2:
        raise EvaluationError("a sample-ratio check needs at least two declared arms")
    for arm, share in shares.items():
        if not (share > 0.0 and math.isfinite(share)):
            raise EvaluationError(f"arm {arm!r}: the declared share must be positive, not {share}")
    undeclared = {arm: count for arm, count in sorted(observed.items()) if arm not in shares and count > 0}
    counts = {arm: observed.get(arm, 0) for arm in shares}
    total = sum(counts.values())
    if total == 0:
        raise EvaluationError("no user is in any declared arm: " + ", ".join(sorted(shares)))
    whole = sum(shares.values())
    expected = {arm: total * share / whole for arm, share in shares.items()}
    statistic = sum((counts[arm] - expected[arm]) ** 2 / expected[arm] for arm in shares)
    p_value = float(special.chdtrc(len(shares) - 1, statistic))
    return SampleRatio(
        observed=counts,
        expected=expected,
        undeclared=undeclared,
        chi_squared=statistic,
        p_value=p_value,
        alpha=alpha,
        is_mismatch=p_value < alpha or bool(undeclared),
    )
