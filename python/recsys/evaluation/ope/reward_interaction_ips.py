"""Reward-interaction IPS: a rank's reward depends on its item and on those above it (users read downwards).

Source: McInerney, Brost, Chandar, Mehrotra and Carterette (2020), "Counterfactual Evaluation of Slate
Recommendations with Sequential Reward Interactions", KDD.
"""

from __future__ import annotations

from recsys.evaluation.ope.estimate import OpeEstimate, estimate_from
from recsys.evaluation.ope.log import ListLog


def reward_interaction_ips(log: ListLog, level: float = 0.95) -> OpeEstimate:
    """Return mean over lists of the sum over ranks of w_1 ... w_l r_l."""
    return estimate_from(
        (log.weights.cumprod(axis=1) * log.reward).sum(axis=1), log.users, level, "reward_interaction_ips"
    )
