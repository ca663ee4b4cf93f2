"""Doubly robust: V = mean of q_pi(x) + w (r - q(x, a)).

Source: Dudik, Langford and Li (2011), "Doubly Robust Policy Evaluation and Learning", ICML.
"""

from __future__ import annotations

from recsys.evaluation.ope.estimate import OpeEstimate, estimate_from
from recsys.evaluation.ope.log import BanditLog
from recsys.evaluation.ope.predictions import Predictions


def dr(log: BanditLog, predictions: Predictions, level: float = 0.95) -> OpeEstimate:
    """Return the estimate: right when either the propensities or the model are; a good model cuts the
    variance.
    """
    predictions.check_against(log)
    contributions = predictions.target + log.weights * (log.reward - predictions.logged)
    return estimate_from(contributions, log.users, level, "dr")
