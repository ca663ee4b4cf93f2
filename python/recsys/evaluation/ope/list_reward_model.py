"""A model of the reward still to come at each rank, cross-fitted by user; what cascade-DR corrects by.

Source: Kiyohara et al. (2022), "Doubly Robust Off-Policy Evaluation for Ranking Policies under the Cascade
Behavior Model", WSDM (rewards still to come, regressed from the last rank up); folds as in ``reward_model``.
"""

from __future__ import annotations

import numpy as np

from recsys.contracts.errors import EvaluationError
from recsys.evaluation.ope.log import ListLog
from recsys.evaluation.ope.reward_model import fit_by_action
from recsys.evaluation.stats.estimate import FloatArray, IntArray


def cross_fit_lists(
    log: ListLog,
    contexts: FloatArray,
    actions: IntArray,
    policy: FloatArray,
    *,
    folds: int = 5,
    seed: int = 0,
) -> tuple[FloatArray, FloatArray]:
    """Return predictions of the logged items and means under the target, each of the shape of the rewards.

    ``actions`` are codes, -1 beyond the end of a list, where both predictions are 0; ``policy`` is
    ``(n_ranks, n_actions)``. The model of a rank has an effect per item and a linear one of the context.
    Raises as ``reward_model.cross_fit``.
    """
    users, codes = np.unique(log.users, return_inverse=True)
    if not 2 <= folds <= users.size:
        raise EvaluationError(f"{users.size} users cannot be split into {folds} folds")
    fold_of_list = (np.random.default_rng(seed).permutation(users.size) % folds)[codes]
    logged, target = np.zeros(log.reward.shape), np.zeros(log.reward.shape)
    for fold in range(folds):
        held = fold_of_list == fold
        still_to_come = np.zeros(log.reward.shape[0])
        for rank in reversed(range(log.reward.shape[1])):
            shown = actions[:, rank] >= 0
            train = shown & ~held
            if not train.any():
                continue
            wanted = log.reward[:, rank] + still_to_come
            model = fit_by_action(contexts[train], actions[train, rank], wanted[train], policy.shape[1])
            now = np.where(shown, model.mean(contexts, policy[rank]), 0.0)
            mine = held & shown
            logged[mine, rank] = model.of(contexts[mine], actions[mine, rank])
            target[mine, rank] = now[mine]
            still_to_come = now
    return logged, target
