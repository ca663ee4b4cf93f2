"""p-values adjusted for a declared family of tests; both return numbers in the order given.

Sources: Holm (1979), "A Simple Sequentially Rejective Multiple Test Procedure", Scand. J. Statistics 6
(family-wise error); Benjamini and Hochberg (1995), "Controlling the False Discovery Rate", JRSS B 57 (false
discovery rate).
"""

from __future__ import annotations

import numpy as np

from recsys.contracts.errors import EvaluationError
from recsys.evaluation.stats.estimate import FloatArray


def holm(p_values: FloatArray) -> FloatArray:
    """Return Holm's adjusted p-values: the running maximum of (m - i + 1) p_(i), at most 1."""
    _check(p_values)
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(p_values.size, 0, -1)
    adjusted = np.empty(p_values.size)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(factors * p_values[order]))
    return adjusted


def benjamini_hochberg(p_values: FloatArray) -> FloatArray:
    """Return adjusted p-values: the running minimum, from the largest down, of m p_(i) / i, at most 1."""
    _check(p_values)
    size = p_values.size
    order = np.argsort(p_values, kind="stable")
    scaled = p_values[order] * size / np.arange(1, size + 1)
    adjusted = np.empty(size)
    adjusted[order] = np.minimum(1.0, np.minimum.accumulate(scaled[::-1])[::-1])
    return adjusted


def _check(p_values: FloatArray) -> None:
    if p_values.ndim != 1 or np.any(~((p_values >= 0.0) & (p_values <= 1.0))):
        raise EvaluationError("p-values must be a list of numbers between 0 and 1")
