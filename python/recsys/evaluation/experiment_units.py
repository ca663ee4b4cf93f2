"""From requests to the randomised unit: users per arm, contamination, and sums per user."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from recsys.contracts.errors import EvaluationError
from recsys.evaluation.stats.estimate import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Units:
    """Requests of users who stayed in one arm; ``arm_of_user`` indexes ``arms``, ``user`` is one code per
    request.

    ``kept`` marks those requests among all of the table's; every array over requests is already cut to it.
    """

    arms: list[str]
    arm_of_user: IntArray
    user: IntArray
    kept: npt.NDArray[np.bool_]
    contaminated_users: int

    def users_per_arm(self) -> dict[str, int]:
        """Return the number of users in each arm that has any."""
        counts = np.bincount(self.arm_of_user, minlength=len(self.arms))
        return {arm: int(count) for arm, count in zip(self.arms, counts, strict=True) if count}

    def sums(self, values: FloatArray, arm: str) -> FloatArray:
        """Return the sum of ``values`` (one per kept request) for each user of ``arm``, in a fixed order."""
        totals = np.bincount(self.user, weights=values, minlength=self.arm_of_user.size)
        return np.asarray(totals[self._is_in(arm)], dtype=np.float64)

    def requests_in(self, arm: str) -> npt.NDArray[np.bool_]:
        """Return a mask over kept requests."""
        return self._is_in(arm)[self.user]

    def _is_in(self, arm: str) -> npt.NDArray[np.bool_]:
        if arm not in self.arms:
            raise EvaluationError(f"no request is in arm {arm!r}; there are: {', '.join(self.arms)}")
        return np.asarray(self.arm_of_user == self.arms.index(arm), dtype=np.bool_)


def assign_units(requests: pa.Table, *, user: str = "user_id", variant: str = "variant") -> Units:
    """Return the units of a table with one row per request; users seen in two arms are counted and left out.

    Users and arms are coded by the order of their names, so results do not depend on the order of the rows.
    """
    for name in (user, variant):
        if name not in requests.column_names:
            raise EvaluationError(
                f"column {name!r} is missing; there are: {', '.join(requests.column_names)}"
            )
        if requests.column(name).null_count:
            raise EvaluationError(f"column {name!r}: {requests.column(name).null_count} values are missing")
    if requests.num_rows == 0:
        raise EvaluationError("there are no requests to analyse")
    arms, arm_codes = _codes(requests, variant)
    users, user_codes = _codes(requests, user)
    lowest = np.full(len(users), len(arms), dtype=np.int64)
    highest = np.full(len(users), -1, dtype=np.int64)
    np.minimum.at(lowest, user_codes, arm_codes)
    np.maximum.at(highest, user_codes, arm_codes)
    is_clean = lowest == highest
    kept = is_clean[user_codes]
    renumbered = np.cumsum(is_clean) - 1
    return Units(
        arms=arms,
        arm_of_user=lowest[is_clean],
        user=renumbered[user_codes[kept]].astype(np.int64),
        kept=kept,
        contaminated_users=int(np.count_nonzero(~is_clean)),
    )


def _codes(table: pa.Table, name: str) -> tuple[list[str], IntArray]:
    encoded = table.column(name).combine_chunks().dictionary_encode()
    names = [str(value) for value in encoded.dictionary.to_pylist()]
    order = sorted(range(len(names)), key=names.__getitem__)
    rank = np.empty(len(names), dtype=np.int64)
    rank[order] = np.arange(len(names))
    return [names[index] for index in order], rank[encoded.indices.to_numpy(zero_copy_only=False)]
