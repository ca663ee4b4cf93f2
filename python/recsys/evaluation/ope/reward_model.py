"""A reward model fitted on other users than it predicts (cross-fitting), from the ``reward-model`` extra.

Source: Chernozhukov et al. (2018), "Double/Debiased Machine Learning", Econometrics Journal 21 (folds); the
model is logistic regression for rewards in {0, 1} and ridge regression otherwise (standard).
"""

from __future__ import annotations

import numpy as np

from recsys.contracts.errors import EvaluationError
from recsys.evaluation.ope.log import BanditLog
from recsys.evaluation.ope.predictions import Predictions
from recsys.evaluation.stats.estimate import FloatArray, IntArray

_CELLS_PER_CHUNK = 4_000_000


def cross_fit(
    log: BanditLog,
    contexts: FloatArray,
    actions: IntArray,
    target_policy: FloatArray,
    *,
    stratum: IntArray | None = None,
    folds: int = 5,
    seed: int = 0,
) -> Predictions:
    """Return predictions for every row, made by the model of a fold that holds none of the row's user.

    ``contexts`` is ``(n, n_features)``, ``actions`` ``(n,)`` codes in [0, n_actions), ``target_policy``
    ``(n, n_actions)`` rows that sum to 1, or one row per ``stratum`` when that gives each decision's row.
    Model: an effect per action plus a linear effect of the context.
    Raises ``EvaluationError`` without scikit-learn, for fewer users than folds, or for a policy that is none.
    """
    rows, n_actions = log.reward.size, target_policy.shape[1]
    known = target_policy.shape[0] if stratum is None else stratum.size
    if contexts.shape[0] != rows or actions.shape != (rows,) or known != rows:
        raise EvaluationError("contexts, actions and target policy need one row per decision")
    if not np.allclose(target_policy.sum(axis=1), 1.0, atol=1e-6):
        raise EvaluationError("the target policy's probabilities must sum to 1 in every row")
    users, codes = np.unique(log.users, return_inverse=True)
    if not 2 <= folds <= users.size:
        raise EvaluationError(f"{users.size} users cannot be split into {folds} folds")
    fold_of_row = (np.random.default_rng(seed).permutation(users.size) % folds)[codes]
    logged, target = np.empty(rows), np.empty(rows)
    for fold in range(folds):
        held = fold_of_row == fold
        model = fit_by_action(contexts[~held], actions[~held], log.reward[~held], n_actions)
        logged[held] = model.of(contexts[held], actions[held])
        if stratum is None:
            target[held] = model.mean(contexts[held], target_policy[held])
            continue
        for row in np.unique(stratum[held]):
            mine = held & (stratum == row)
            target[mine] = model.mean(contexts[mine], target_policy[row])
    return Predictions(logged=logged, target=target)


class ByAction:
    """A fitted model: an effect per action plus a linear one of the context, logistic or as it is."""

    def __init__(self, of_action: FloatArray, of_context: FloatArray, *, is_logistic: bool) -> None:
        self._of_action = of_action
        self._of_context = of_context
        self._is_logistic = is_logistic

    def of(self, contexts: FloatArray, actions: IntArray) -> FloatArray:
        """Return the predicted reward of each row's action, shape ``(m,)``."""
        return self._response(contexts @ self._of_context + self._of_action[actions])

    def mean(self, contexts: FloatArray, policy: FloatArray) -> FloatArray:
        """Return the predicted reward under a policy, ``(m,)``; ``policy`` is one row for all, or each."""
        found = np.empty(contexts.shape[0])
        step = max(1, _CELLS_PER_CHUNK // self._of_action.size)
        for start in range(0, found.size, step):
            rows = slice(start, start + step)
            scores = (contexts[rows] @ self._of_context)[:, None] + self._of_action[None, :]
            chances = policy if policy.ndim == 1 else policy[rows]
            found[rows] = (self._response(scores) * chances).sum(axis=1)
        return found

    def _response(self, scores: FloatArray) -> FloatArray:
        if not self._is_logistic:
            return scores
        return np.asarray(1.0 / (1.0 + np.exp(-np.clip(scores, -700.0, 700.0))), dtype=np.float64)


def fit_by_action(contexts: FloatArray, actions: IntArray, reward: FloatArray, n_actions: int) -> ByAction:
    """Return the model of these rows: logistic regression for rewards in {0, 1}, ridge regression otherwise.

    ``EvaluationError`` without scikit-learn.
    """
    distinct = np.unique(reward)
    if distinct.size == 1:  # nothing to learn, and a logistic fit refuses one class
        return ByAction(np.full(n_actions, distinct[0]), np.zeros(contexts.shape[1]), is_logistic=False)
    try:
        from scipy.sparse import csr_matrix, hstack  # noqa: PLC0415 - an optional extra
        from sklearn.linear_model import LogisticRegression, Ridge  # noqa: PLC0415
    except ImportError as error:
        raise EvaluationError("the reward model needs scikit-learn: install recsys[reward-model]") from error
    rows = np.arange(actions.size)
    one_hot = csr_matrix((np.ones(actions.size), (rows, actions)), shape=(actions.size, n_actions))
    features = hstack([one_hot, csr_matrix(contexts)], format="csr")
    is_logistic = bool(np.isin(distinct, (0.0, 1.0)).all())
    model = LogisticRegression(max_iter=500) if is_logistic else Ridge(alpha=1.0)
    model.fit(features, reward)
    weights = np.asarray(model.coef_, dtype=np.float64).ravel()
    intercept = float(np.ravel(model.intercept_)[0])
    return ByAction(weights[:n_actions] + intercept, weights[n_actions:], is_logistic=is_logistic)
