"""Independent IPS: each rank's reward depends on the item at that rank alone.

Source: Li, Abbasi-Yadkori, Kveton, Muthukrishnan, Vinay and Wen (2018), "Offline Evaluation of Ranking
Policies with Click Models", KDD (item-position model).
"""

from __future__ import annotations

from recsys.evaluation.ope.estimate import OpeEstimate, estimate_from
from recsys.evaluation.ope.log import ListLog


def independent_ips(log: ListLog, level: float = 0.95) -> OpeEstimate:
    """Return mean over lists of the sum over ranks of w_l r_l.

    The propensities must be marginal (item at rank), which the conditional ones are when ranks are drawn
    independently.
    """
    return estimate_from((log.weights * log.reward).sum(axis=1), log.users, level, "independent_ips")
