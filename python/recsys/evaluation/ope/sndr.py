"""Self-normalised doubly robust: V = mean of q_pi(x) + sum(w (r - q)) / sum(w).

Source: Thomas and Brunskill (2016), "Data-Efficient Off-Policy Policy Evaluation for Reinforcement Learning",
ICML (the weighted doubly robust estimator, for one step).
"""

from __future__ import annotations

from recsys.contracts.errors import EvaluationError
from recsys.evaluation.ope.estimate import OpeEstimate, estimate_from
from recsys.evaluation.ope.log import BanditLog
from recsys.evaluation.ope.predictions import Predictions


def sndr(log: BanditLog, predictions: Predictions, level: float = 0.95) -> OpeEstimate:
    """Return the estimate with the interval of its first-order expansion; ``EvaluationError`` when every
    weight is 0.
    """
    predictions.check_against(log)
    weights = log.weights
    mean_weight = float(weights.mean())
    if mean_weight == 0.0:
        raise EvaluationError("every weight is 0: the target policy never shows what was logged")
    residuals = log.reward - predictions.logged
    correction = float((weights * residuals).mean()) / mean_weight
    contributions = predictions.target + correction + weights * (residuals - correction) / mean_weight
    return estimate_from(contributions, log.users, level, "sndr")
