"""The target policy as a whole, where the logs tell it: needed by whatever predicts rewards."""

from __future__ import annotations

import numpy as np

from recsys.contracts.errors import EvaluationError
from recsys.evaluation.stats.estimate import FloatArray, IntArray

SUM_TOLERANCE = 0.01


def policy_by_rank(rank: IntArray, action: IntArray, target: FloatArray, *, n_actions: int) -> FloatArray:
    """Return the target's probabilities, ``(n_ranks, n_actions)``, for one that depends on the rank alone.

    The arrays have one entry per logged decision. Logs hold only what was shown, so this is the policy only
    when each (rank, item) always has one probability, and those of a rank sum to 1 (within 1 %): else
    ``EvaluationError`` says which of the two fails, and only estimators without a model are left.
    """
    n_ranks = int(rank.max()) + 1
    cell = rank * n_actions + action
    lowest, highest = np.full(n_ranks * n_actions, np.inf), np.full(n_ranks * n_actions, -np.inf)
    np.minimum.at(lowest, cell, target)
    np.maximum.at(highest, cell, target)
    is_seen = np.isfinite(lowest)
    if np.any(highest[is_seen] - lowest[is_seen] > 1e-9):
        raise EvaluationError("the target's probability of an item differs between requests")
    policy = np.where(is_seen, lowest, 0.0).reshape(n_ranks, n_actions)
    sums = policy.sum(axis=1)
    worst = int(np.argmax(np.abs(sums - 1.0)))
    if abs(sums[worst] - 1.0) > SUM_TOLERANCE:
        raise EvaluationError(
            f"the target's probabilities of the items shown at rank {worst + 1} sum to {sums[worst]:.3f}: "
            "it shows items that the logs never did"
        )
    return np.asarray(policy / sums[:, None], dtype=np.float64)
