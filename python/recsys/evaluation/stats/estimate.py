"""A mean with its sampling variance, and the difference of two of them: what every method here takes and
gives.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from msgspec import Struct
from scipy import special

from recsys.contracts.errors import EvaluationError

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


class Mean(Struct, frozen=True, kw_only=True):
    """An estimate, the variance of its sampling distribution, and the number of independent units behind
    it.
    """

    value: float
    variance: float
    units: int

    @property
    def standard_error(self) -> float:
        """Return the square root of the sampling variance."""
        return math.sqrt(self.variance)


class Difference(Struct, frozen=True, kw_only=True):
    """Candidate minus control, in the metric's own unit or (``is_relative``) as a share of the control's
    value.
    """

    value: float
    standard_error: float
    low: float
    high: float
    p_value: float
    level: float
    method: str
    is_relative: bool = False


def normal_quantile(probability: float) -> float:
    """Return the standard normal quantile of a probability in (0, 1)."""
    return float(special.ndtri(probability))


def two_sided_p_value(z: float) -> float:
    """Return P(|Z| >= |z|) for a standard normal Z."""
    return float(2.0 * special.ndtr(-abs(z)))


def check_level(level: float) -> None:
    """Raise ``EvaluationError`` unless ``level`` is a confidence level in (0, 1)."""
    if not 0.0 < level < 1.0:
        raise EvaluationError(f"confidence level must lie between 0 and 1, not {level}")


def check_finite(values: FloatArray, name: str) -> None:
    """Raise ``EvaluationError`` naming the array and the count of values that are NaN or infinite."""
    defects = int(np.count_nonzero(~np.isfinite(values)))
    if defects:
        raise EvaluationError(f"{name}: {defects} of {values.size} values are NaN or infinite")


def normal_difference(value: float, standard_error: float, level: float, method: str) -> Difference:
    """Return the two-sided normal test and interval of an estimated difference (standard).

    A standard error of 0 gives p = 1 for no difference and p = 0 otherwise: there is no noise to explain it.
    """
    check_level(level)
    half = normal_quantile(0.5 + level / 2.0) * standard_error
    if standard_error > 0.0:
        p_value = two_sided_p_value(value / standard_error)
    else:
        p_value = 1.0 if value == 0.0 else 0.0
    return Difference(
        value=value,
        standard_error=standard_error,
        low=value - half,
        high=value + half,
        p_value=p_value,
        level=level,
        method=method,
    )
