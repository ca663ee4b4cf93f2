"""Resampled A/A: does the analysis find differences where there are none?

Users are split at random again and again, and the metric is tested each time. With a sound analysis the
p-values are uniform and the false-positive rate is the test's level. Source: Kohavi, Tang and Xu (2020),
"Trustworthy Online Controlled Experiments", chapter 19; intervals after Clopper and Pearson (1934),
uniformity after Kolmogorov (1933).
"""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from recsys.contracts.errors import EvaluationError
from recsys.evaluation.stats.delta_method import difference, ratio
from recsys.evaluation.stats.estimate import FloatArray
from recsys.evaluation.stats.proportions import exact_interval
from recsys.evaluation.stats.uniformity import kolmogorov_uniform

P_VALUE_BINS = 20


class AaCheck(Struct, frozen=True, kw_only=True):
    """False positives and uniformity over the splits; ``is_sound`` when neither speaks against the analysis
    at 1 %. ``p_value_counts`` are the p-values in ``P_VALUE_BINS`` equal steps.
    """

    splits: int
    users: int
    alpha: float
    false_positive_rate: float
    low: float
    high: float
    uniformity_distance: float
    uniformity_p_value: float
    is_sound: bool
    seed: int
    p_value_counts: list[int]


def resampled_aa(
    numerators: FloatArray,
    denominators: FloatArray,
    *,
    splits: int = 1000,
    alpha: float = 0.05,
    seed: int = 0,
) -> AaCheck:
    """Return the check of a ratio metric; one numerator and denominator per user, halves drawn at random.

    Raises ``EvaluationError`` for fewer than 4 users or 100 splits, where the check could not see anything.
    """
    users = numerators.size
    if users < 4 or splits < 100:
        raise EvaluationError(f"an A/A check needs at least 4 users and 100 splits, not {users} and {splits}")
    if not 0.0 < alpha < 1.0:
        raise EvaluationError(f"alpha must lie between 0 and 1, not {alpha}")
    generator = np.random.default_rng(seed)
    p_values = np.empty(splits)
    for split in range(splits):
        order = generator.permutation(users)
        first, second = order[: users // 2], order[users // 2 :]
        arms = [ratio(numerators[half], denominators[half]) for half in (first, second)]
        p_values[split] = difference(arms[0], arms[1], 1.0 - alpha).p_value
    found = int(np.count_nonzero(p_values < alpha))
    low, high = exact_interval(found, splits, 0.99)
    distance, p_value = kolmogorov_uniform(p_values)
    return AaCheck(
        splits=splits,
        users=users,
        alpha=alpha,
        false_positive_rate=found / splits,
        low=low,
        high=high,
        uniformity_distance=distance,
        uniformity_p_value=p_value,
        is_sound=low <= alpha <= high and p_value >= 0.01,
        seed=seed,
        p_value_counts=np.histogram(p_values, bins=P_VALUE_BINS, range=(0.0, 1.0))[0].tolist(),
    )
