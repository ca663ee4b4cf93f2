"""Paired bootstrap of mean differences: users are drawn with replacement, each with all of its lists.

Percentile intervals after Efron and Tibshirani (1993), "An Introduction to the Bootstrap"; users as clusters
after Davison and Hinkley (1997), "Bootstrap Methods and their Application". p-values are of the normal test
with the bootstrap's standard error (Efron and Tibshirani): those counted from replicates are never below 2 /
(replicates + 1), so that no correction for a family could leave one small. One draw of users serves all
metrics, so that they stay comparable.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from msgspec.structs import replace

from recsys.contracts.errors import EvaluationError
from recsys.evaluation.stats.estimate import (
    Difference,
    FloatArray,
    IntArray,
    check_finite,
    check_level,
    normal_difference,
)

_CELLS_PER_CHUNK = 4_000_000


def paired_bootstrap(
    differences: Iterable[FloatArray], users: IntArray, *, level: float, replicates: int, seed: int
) -> list[Difference]:
    """Return the mean of each of ``differences``, a metric's ``(n_lists,)``, with interval and p-value.

    ``users`` ``(n_lists,)`` has codes from 0 without gaps; the result depends on which list is whose and on
    the order of the codes, not on that of the lists. The differences are read one after the other and not
    kept. Raises EvaluationError for fewer than 2 users or 100 replicates.
    """
    check_level(level)
    n_users = int(users.max(initial=-1)) + 1
    if n_users < 2:
        raise EvaluationError(f"a bootstrap by user needs at least 2 users, not {n_users}")
    if replicates < 100:
        raise EvaluationError(f"a bootstrap needs at least 100 replicates, not {replicates}")
    counts = np.bincount(users, minlength=n_users).astype(np.float64)
    sums_by_user = []
    for column in differences:
        check_finite(column, "differences")
        sums_by_user.append(np.bincount(users, weights=column, minlength=n_users))
    totals = np.column_stack([*sums_by_user, counts])
    generator = np.random.default_rng(seed)
    means = np.empty((replicates, len(sums_by_user)))
    chunk = max(1, _CELLS_PER_CHUNK // n_users)
    for start in range(0, replicates, chunk):
        stop = min(start + chunk, replicates)
        drawn = generator.integers(0, n_users, size=(stop - start, n_users))
        drawn += np.arange(stop - start)[:, None] * n_users
        weights = np.bincount(drawn.ravel(), minlength=(stop - start) * n_users)
        sums = weights.reshape(stop - start, n_users).astype(np.float64) @ totals
        means[start:stop] = sums[:, :-1] / sums[:, -1:]
    lows, highs = np.quantile(means, [(1 - level) / 2, (1 + level) / 2], axis=0)
    values = totals[:, :-1].sum(axis=0) / counts.sum()
    found = []
    for place, value in enumerate(values):
        error = float(means[:, place].std(ddof=1))
        tested = normal_difference(float(value), error, level, "paired bootstrap by user")
        found.append(replace(tested, low=float(lows[place]), high=float(highs[place])))
    return found
