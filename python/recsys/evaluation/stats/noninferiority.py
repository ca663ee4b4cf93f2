"""Guardrails: is the candidate at most a stated margin worse than the control?

Source: Rothmann, Wiens and Chan (2011), "Design and Analysis of Non-Inferiority Trials" (one-sided
test against a margin). Every guardrail here is a quantity where more is worse: latency, error rate,
empty-list rate.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct
from scipy import special

from recsys.contracts.errors import EvaluationError
from recsys.evaluation.stats.estimate import check_level, normal_quantile

Verdict = Literal["holds", "broken", "inconclusive"]


class NonInferiority(Struct, frozen=True, kw_only=True):
    """Increase over the control, its one-sided bounds, the margin, and what follows.

    ``p_value`` is of the hypothesis that the increase is at least the margin; small means that the guardrail
    holds.
    """

    increase: float
    standard_error: float
    lower_bound: float
    upper_bound: float
    margin: float
    p_value: float
    level: float
    verdict: Verdict


def non_inferiority(
    increase: float, standard_error: float, margin: float, level: float = 0.95
) -> NonInferiority:
    """Return ``holds`` when the one-sided upper bound lies under ``margin``, ``broken`` when the lower bound
    lies above.

    Between the two the data do not say, and ``inconclusive`` is not a pass. ``margin`` > 0 in the unit of
    ``increase``; ``EvaluationError`` otherwise, because a margin of 0 can never be shown to hold.
    """
    check_level(level)
    if not margin > 0.0:
        raise EvaluationError(f"a guardrail's margin must be positive, not {margin}")
    if standard_error < 0.0:
        raise EvaluationError(f"the standard error must not be negative, it is {standard_error}")
    half = normal_quantile(level) * standard_error
    if standard_error > 0.0:
        p_value = float(special.ndtr((increase - margin) / standard_error))
    else:
        p_value = 0.0 if increase < margin else 1.0
    verdict: Verdict = "inconclusive"
    if increase + half < margin:
        verdict = "holds"
    elif increase - half > margin:
        verdict = "broken"
    return NonInferiority(
        increase=increase,
        standard_error=standard_error,
        lower_bound=increase - half,
        upper_bound=increase + half,
        margin=margin,
        p_value=p_value,
        level=level,
        verdict=verdict,
    )
