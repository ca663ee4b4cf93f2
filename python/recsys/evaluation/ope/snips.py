"""Self-normalised IPS: V = sum(w r) / sum(w).

Source: Swaminathan and Joachims (2015), "The Self-Normalized Estimator for Counterfactual Learning", NeurIPS.
"""

from __future__ import annotations

from recsys.contracts.errors import EvaluationError
from recsys.evaluation.ope.estimate import OpeEstimate, estimate_from
from recsys.evaluation.ope.log import BanditLog


def snips(log: BanditLog, level: float = 0.95) -> OpeEstimate:
    """Return the estimate: within the range of the rewards, biased by O(1/n); the interval is the ratio's
    delta method.

    Raises ``EvaluationError`` when every weight is 0: the target never does what was logged.
    """
    weights = log.weights
    mean_weight = float(weights.mean())
    if mean_weight == 0.0:
        raise EvaluationError("every weight is 0: the target policy never shows what was logged")
    value = float((weights * log.reward).mean()) / mean_weight
    contributions = value + weights * (log.reward - value) / mean_weight
    return estimate_from(contributions, log.users, level, "snips")
