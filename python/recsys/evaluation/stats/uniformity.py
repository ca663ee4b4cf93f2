"""Are p-values uniform, as they must be when there is no effect?

Source: Kolmogorov (1933), one-sample test against the uniform distribution; its exact two-sided distribution
is scipy's ``kstwo``. Uniform p-values are the check of Kohavi, Tang and Xu (2020), "Trustworthy Online
Controlled Experiments", ch. 19.
"""

from __future__ import annotations

import numpy as np
from scipy import stats

from recsys.contracts.errors import EvaluationError
from recsys.evaluation.stats.estimate import FloatArray


def kolmogorov_uniform(p_values: FloatArray) -> tuple[float, float]:
    """Return (largest distance of the empirical from the uniform distribution function, its p-value)."""
    size = p_values.size
    if size == 0 or np.any(~((p_values >= 0.0) & (p_values <= 1.0))):
        raise EvaluationError("uniformity needs at least one p-value, all between 0 and 1")
    ordered = np.sort(p_values)
    steps = np.arange(size)
    distance = float(max(np.max((steps + 1) / size - ordered), np.max(ordered - steps / size)))
    return distance, float(stats.kstwo.sf(distance, size))
