"""Weights cut at a maximum, and what that costs.

Source: Ionides (2008), "Truncated Importance Sampling", J. Computational and Graphical Statistics 17.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from msgspec import Struct

from recsys.contracts.errors import EvaluationError
from recsys.evaluation.ope.log import BanditLog, ListLog


class ClippingCost(Struct, frozen=True, kw_only=True):
    """Rows cut, the mean weight that went with them, and the change of the IPS value that it makes."""

    max_weight: float
    rows_clipped: int
    weight_removed: float
    value_removed: float


def clip(log: BanditLog, max_weight: float) -> tuple[BanditLog, ClippingCost]:
    """Return the log with target propensities lowered until no weight passes ``max_weight``, and the cost.

    ``value_removed`` is mean((w - w_clipped) r): an unbiased estimate of the bias that clipping puts into
    IPS.
    """
    if not max_weight > 0.0:
        raise EvaluationError(f"the largest weight allowed must be positive, not {max_weight}")
    weights = log.weights
    clipped = np.minimum(weights, max_weight)
    excess = weights - clipped
    cost = ClippingCost(
        max_weight=max_weight,
        rows_clipped=int(np.count_nonzero(excess > 0.0)),
        weight_removed=float(excess.mean()),
        value_removed=float((excess * log.reward).mean()),
    )
    return replace(log, target=np.where(excess > 0.0, clipped * log.logging, log.target)), cost


def clip_lists(log: ListLog, max_weight: float) -> tuple[ListLog, ClippingCost]:
    """Return the lists with the weight of every rank cut at ``max_weight``, and the cost in independent IPS.

    The weight of a whole list is a product over its ranks, and is cut by that of each.
    """
    flat = BanditLog(
        reward=log.reward.ravel(),
        logging=log.logging.ravel(),
        target=log.target.ravel(),
        users=np.repeat(log.users, log.reward.shape[1]),
    )
    clipped, cost = clip(flat, max_weight)
    return replace(log, target=clipped.target.reshape(log.target.shape)), cost
