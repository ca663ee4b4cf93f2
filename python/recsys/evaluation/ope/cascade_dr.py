"""Cascade doubly robust: reward-interaction IPS with a model of the reward still to come as control variate.

Source: Kiyohara, Saito, Matsuhiro, Narita, Shimizu and Yamamoto (2022), "Doubly Robust Off-Policy Evaluation
for Ranking Policies under the Cascade Behavior Model", WSDM; the recursion is that of Jiang and Li (2016),
ICML.
"""

from __future__ import annotations

import numpy as np

from recsys.contracts.errors import EvaluationError
from recsys.evaluation.ope.estimate import OpeEstimate, estimate_from
from recsys.evaluation.ope.log import ListLog
from recsys.evaluation.stats.estimate import FloatArray, check_finite


def cascade_dr(
    log: ListLog, predicted_logged: FloatArray, predicted_target: FloatArray, level: float = 0.95
) -> OpeEstimate:
    """Return mean of sum over l of w_(1:l) (r_l - Q_l) + w_(1:l-1) E_target[Q_l].

    ``predicted_logged`` is Q of the logged item: the target policy's expected reward from rank l down, given
    the items down to l. ``predicted_target`` is its mean over the target's choice at l. Both have the shape
    of the rewards.
    """
    if predicted_logged.shape != log.reward.shape or predicted_target.shape != log.reward.shape:
        raise EvaluationError("the reward model must predict every rank of every list")
    check_finite(predicted_logged, "predicted rewards of the logged items")
    check_finite(predicted_target, "predicted rewards of the target policy")
    through = log.weights.cumprod(axis=1)
    before = np.concatenate([np.ones((len(through), 1)), through[:, :-1]], axis=1)
    terms = through * (log.reward - predicted_logged) + before * predicted_target
    return estimate_from(terms.sum(axis=1), log.users, level, "cascade_dr")
