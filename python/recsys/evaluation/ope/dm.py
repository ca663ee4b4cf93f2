"""Direct method: V = mean over contexts of sum over a of pi(a | x) q(x, a).

Source: Dudik, Langford and Li (2011), "Doubly Robust Policy Evaluation and Learning", ICML.
"""

from __future__ import annotations

from recsys.evaluation.ope.estimate import OpeEstimate, estimate_from
from recsys.evaluation.ope.log import BanditLog
from recsys.evaluation.ope.predictions import Predictions


def dm(log: BanditLog, predictions: Predictions, level: float = 0.95) -> OpeEstimate:
    """Return the model's own answer; the interval covers the contexts' noise alone, not the model's bias."""
    predictions.check_against(log)
    return estimate_from(predictions.target, log.users, level, "dm")
