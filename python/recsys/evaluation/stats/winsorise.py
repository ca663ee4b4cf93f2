"""Outliers pulled in to a quantile (Tukey 1962, "The Future of Data Analysis", Annals of Mathematical
Statistics 33).
"""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from recsys.contracts.errors import EvaluationError
from recsys.evaluation.stats.estimate import FloatArray


class Cap(Struct, frozen=True, kw_only=True):
    """The quantile asked for, the value it fell on, and how many users were pulled in to it."""

    quantile: float
    value: float
    users_capped: int


def winsorise(arms: list[FloatArray], quantile: float) -> tuple[list[FloatArray], Cap]:
    """Return every arm with values above the pooled ``quantile`` set to it, and the cap itself.

    One cap for all arms: a cap per arm would hide a true difference in the tail, and bias the comparison.
    """
    if not 0.5 < quantile < 1.0:
        raise EvaluationError(f"winsorising quantile must lie between 0.5 and 1, not {quantile}")
    pooled = np.concatenate(arms)
    if pooled.size == 0:
        raise EvaluationError("no users to winsorise")
    value = float(np.quantile(pooled, quantile, method="higher"))
    capped = int(np.count_nonzero(pooled > value))
    return [np.minimum(arm, value) for arm in arms], Cap(quantile=quantile, value=value, users_capped=capped)
