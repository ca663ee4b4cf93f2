"""The logs that estimators read, checked once: rows of single decisions, and lists as matrices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from recsys.contracts.errors import EvaluationError
from recsys.evaluation.stats.estimate import FloatArray, IntArray, check_finite


@dataclass(frozen=True, slots=True)
class BanditLog:
    """Decisions in arrays of shape ``(n,)``: reward, both policies' probability of the logged action, user
    code.

    ``rows_set_aside`` counts rows without a usable logging propensity, which no estimator can use.
    """

    reward: FloatArray
    logging: FloatArray
    target: FloatArray
    users: IntArray
    rows_set_aside: int = 0

    def __post_init__(self) -> None:
        shapes = {array.shape for array in (self.reward, self.logging, self.target, self.users)}
        if len(shapes) != 1 or self.reward.ndim != 1 or self.reward.size == 0:
            raise EvaluationError("reward, propensities and users must be non-empty and of one length")
        check_finite(self.reward, "reward")
        _check_propensities(self.logging, self.target)

    @property
    def weights(self) -> FloatArray:
        """Return target / logging propensity, shape ``(n,)``."""
        return self.target / self.logging


@dataclass(frozen=True, slots=True)
class ListLog:
    """Served lists in arrays of shape ``(n_lists, n_ranks)``; column 0 is rank 1; ``users`` is
    ``(n_lists,)``.

    Propensities are of the item at its rank given the items above it, under each policy.
    """

    reward: FloatArray
    logging: FloatArray
    target: FloatArray
    users: IntArray

    def __post_init__(self) -> None:
        shapes = {array.shape for array in (self.reward, self.logging, self.target)}
        if len(shapes) != 1 or self.reward.ndim != 2 or self.users.shape != self.reward.shape[:1]:
            raise EvaluationError(
                "rewards and propensities must be of one (n_lists, n_ranks) shape, users (n_lists,)"
            )
        if self.reward.size == 0:
            raise EvaluationError("there are no lists to evaluate")
        check_finite(self.reward, "reward")
        _check_propensities(self.logging, self.target)

    @property
    def weights(self) -> FloatArray:
        """Return target / logging propensity rank by rank, shape ``(n_lists, n_ranks)``."""
        return self.target / self.logging


def bandit_log(rows: pa.Table, *, reward: str, logging: str, target: str, user: str = "user_id") -> BanditLog:
    """Return the log from a table with one row per exposed item; the names are those of its columns.

    Rows whose logging propensity is missing or 0 are set aside and counted: an item that was served cannot
    have had probability 0, so the propensity is wrong and not the item. A missing target propensity or reward
    is an error.
    """
    for name in (reward, logging, target, user):
        if name not in rows.column_names:
            raise EvaluationError(f"column {name!r} is missing; there are: {', '.join(rows.column_names)}")
    logged = _floats(rows, logging)
    usable = logged > 0.0  # false for NaN too
    if not usable.any():
        raise EvaluationError(f"column {logging!r}: no row has a logging propensity above 0")
    codes = rows.column(user).combine_chunks().dictionary_encode().indices.to_numpy(zero_copy_only=False)
    return BanditLog(
        reward=_floats(rows, reward)[usable],
        logging=logged[usable],
        target=_floats(rows, target)[usable],
        users=codes.astype(np.int64)[usable],
        rows_set_aside=int(np.count_nonzero(~usable)),
    )


def _floats(rows: pa.Table, name: str) -> FloatArray:
    column = rows.column(name).combine_chunks().cast(pa.float64())
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64)


def _check_propensities(logging: FloatArray, target: FloatArray) -> None:
    if np.any(~((logging > 0.0) & (logging <= 1.0))):
        raise EvaluationError(
            "logging propensities must lie in (0, 1]: what was served had a chance of being served"
        )
    if np.any(~((target >= 0.0) & (target <= 1.0))):
        raise EvaluationError("target propensities must lie in [0, 1]")
