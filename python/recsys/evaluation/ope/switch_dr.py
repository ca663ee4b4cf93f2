"""Switch-DR: doubly robust where the weight is at most a threshold, the model alone where it is larger.

Source: Wang, Agarwal and Dudik (2017), "Optimal and Adaptive Off-policy Evaluation in Contextual Bandits",
ICML.
"""

from __future__ import annotations

import numpy as np

from recsys.contracts.errors import EvaluationError
from recsys.evaluation.ope.estimate import OpeEstimate, estimate_from
from recsys.evaluation.ope.log import BanditLog
from recsys.evaluation.ope.predictions import Predictions


def switch_dr(
    log: BanditLog, predictions: Predictions, *, threshold: float, level: float = 0.95
) -> OpeEstimate:
    """Return mean of q_pi(x) + w 1{w <= threshold} (r - q); ``inf`` gives DR and 0 the direct method."""
    if not threshold >= 0.0:
        raise EvaluationError(f"the threshold of Switch-DR must be at least 0, not {threshold}")
    predictions.check_against(log)
    kept = np.where(log.weights <= threshold, log.weights, 0.0)
    return estimate_from(
        predictions.target + kept * (log.reward - predictions.logged), log.users, level, "switch_dr"
    )
