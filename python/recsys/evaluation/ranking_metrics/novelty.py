"""Novelty: mean self-information, -log2 of an item's share of interactions (Zhou et al., PNAS 2010)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from recsys.evaluation.ranking_metrics.judged import Floats


def novelty(lists: Sequence[Sequence[str]], counts: Mapping[str, int]) -> Floats:
    """Return the mean bits per item of each list, ``(n,)``; an unseen item counts as seen once, an empty
    list is 0."""
    total = max(sum(counts.values()), 1)
    return np.array(
        [
            sum(math.log2(total / max(counts.get(item, 0), 1)) for item in listed) / len(listed)
            if listed
            else 0.0
            for listed in lists
        ]
    )
