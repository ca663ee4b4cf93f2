"""Clustered bootstrap of a ratio: users are drawn with replacement, each with all of its requests.

Source: Efron and Tibshirani (1993), "An Introduction to the Bootstrap" (percentile interval); users as
clusters after Davison and Hinkley (1997), "Bootstrap Methods and their Application".
"""

from __future__ import annotations

import numpy as np

from recsys.contracts.errors import EvaluationError
from recsys.evaluation.stats.estimate import Difference, FloatArray, check_finite, check_level

_CELLS_PER_CHUNK = 4_000_000  # bounds the memory of one chunk of replicates to about 32 MB


def bootstrap_ratio(
    numerators: FloatArray, denominators: FloatArray, *, replicates: int, seed: int
) -> FloatArray:
    """Return ``(replicates,)`` resampled values of sum(numerators) / sum(denominators); one entry per user.

    Users with equal (numerator, denominator) are drawn together: resampling n users is one multinomial draw
    over the distinct pairs, the same distribution at a fraction of the cost. Same data and seed, same
    replicates, whatever the order of the users. A replicate whose denominator is 0 would be undefined:
    ``EvaluationError`` says so.
    """
    if numerators.shape != denominators.shape or numerators.ndim != 1:
        raise EvaluationError("numerators and denominators must be one-dimensional and of equal length")
    if numerators.size < 2 or replicates < 1:
        raise EvaluationError("a bootstrap needs at least 2 users and 1 replicate")
    check_finite(numerators, "numerators")
    check_finite(denominators, "denominators")
    pairs, counts = np.unique(np.column_stack([numerators, denominators]), axis=0, return_counts=True)
    shares = counts / counts.sum()
    generator = np.random.default_rng(seed)
    values = np.empty(replicates)
    chunk = max(1, _CELLS_PER_CHUNK // len(pairs))
    for start in range(0, replicates, chunk):
        stop = min(start + chunk, replicates)
        draws = generator.multinomial(numerators.size, shares, size=stop - start).astype(np.float64)
        sums = draws @ pairs
        if np.any(sums[:, 1] <= 0.0):
            raise EvaluationError("a resample had a denominator of 0: too few users to bootstrap this ratio")
        values[start:stop] = sums[:, 0] / sums[:, 1]
    return values


def bootstrap_difference(
    control: tuple[FloatArray, FloatArray],
    candidate: tuple[FloatArray, FloatArray],
    *,
    level: float,
    replicates: int = 2000,
    seed: int = 0,
) -> Difference:
    """Return candidate minus control of a ratio with the percentile interval; each arm is (numerators,
    denominators).

    The p-value is twice the smaller share of replicates on either side of 0, counting the data once (Davison
    and Hinkley 1997): it is never 0 and at most 1.
    """
    check_level(level)
    # The two arms draw from separate streams of one seed, so adding a user to one arm leaves the other's
    # draws alone.
    seeds = np.random.SeedSequence(seed).generate_state(2)
    draws_c = bootstrap_ratio(*control, replicates=replicates, seed=int(seeds[0]))
    draws_t = bootstrap_ratio(*candidate, replicates=replicates, seed=int(seeds[1]))
    gaps = draws_t - draws_c
    low, high = np.quantile(gaps, [(1 - level) / 2, (1 + level) / 2])
    value = float(candidate[0].sum() / candidate[1].sum() - control[0].sum() / control[1].sum())
    below = (1 + int(np.count_nonzero(gaps <= 0.0))) / (replicates + 1)
    above = (1 + int(np.count_nonzero(gaps >= 0.0))) / (replicates + 1)
    return Difference(
        value=value,
        standard_error=float(gaps.std(ddof=1)) if replicates > 1 else 0.0,
        low=float(low),
        high=float(high),
        p_value=min(1.0, 2.0 * min(below, above)),
        level=level,
        method="bootstrap by user",
    )
