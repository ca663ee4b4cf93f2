"""IPS of whole lists: the product of the weights of all ranks times the sum of the rewards.

Source: Precup, Sutton and Singh (2000), "Eligibility Traces for Off-Policy Policy Evaluation", ICML
(importance sampling).
"""

from __future__ import annotations

from recsys.evaluation.ope.estimate import OpeEstimate, estimate_from
from recsys.evaluation.ope.log import ListLog


def standard_ips(log: ListLog, level: float = 0.95) -> OpeEstimate:
    """Return reward per list with no assumption on how users read; its weights grow with the length of the
    list.
    """
    return estimate_from(log.weights.prod(axis=1) * log.reward.sum(axis=1), log.users, level, "standard_ips")
