"""Inverse propensity scoring: V = mean of w r, w = target / logging propensity.

Source: Horvitz and Thompson (1952), JASA 47; for bandits Strehl, Langford, Li and Kakade (2010), NeurIPS.
"""

from __future__ import annotations

from recsys.evaluation.ope.estimate import OpeEstimate, estimate_from
from recsys.evaluation.ope.log import BanditLog


def ips(log: BanditLog, level: float = 0.95) -> OpeEstimate:
    """Return the estimate: unbiased where the logging policy could do all that the target does; its weights
    may be large.
    """
    return estimate_from(log.weights * log.reward, log.users, level, "ips")
