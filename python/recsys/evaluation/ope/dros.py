"""Doubly robust with optimistic shrinkage: w becomes lambda w / (w^2 + lambda).

Source: Su, Dimakopoulou, Krishnamurthy and Dudik (2020), "Doubly Robust Off-Policy Evaluation with
Shrinkage", ICML (optimistic shrinkage).
"""

from __future__ import annotations

import math

from recsys.contracts.errors import EvaluationError
from recsys.evaluation.ope.estimate import OpeEstimate, estimate_from
from recsys.evaluation.ope.log import BanditLog
from recsys.evaluation.ope.predictions import Predictions
from recsys.evaluation.stats.estimate import FloatArray


def shrink(weights: FloatArray, strength: float) -> FloatArray:
    """Return the shrunk weights; ``strength`` is the paper's lambda: 0 gives zeros, ``inf`` leaves them
    alone.
    """
    if not strength >= 0.0:
        raise EvaluationError(f"the shrinkage must be at least 0, not {strength}")
    if math.isinf(strength):
        return weights
    if strength == 0.0:
        return weights * 0.0
    return strength * weights / (weights**2 + strength)


def dros(log: BanditLog, predictions: Predictions, *, strength: float, level: float = 0.95) -> OpeEstimate:
    """Return mean of q_pi(x) + shrunk w (r - q)."""
    predictions.check_against(log)
    weights = shrink(log.weights, strength)
    return estimate_from(
        predictions.target + weights * (log.reward - predictions.logged), log.users, level, "dros"
    )
