"""Novelty: mean self-information, -log2 of an item's share of interactions (Zhou et al., PNAS 107, 2010)."""

from __future__ import annotations

import numpy as np

from recsys.evaluation.ranking_metrics.judged import Floats, Ints
from recsys.evaluation.ranking_metrics.listed import Listed


def novelty(listed: Listed, counts: Ints) -> Floats:
    """Return the mean bits per item of each list, ``(n,)``; an empty list is 0.

    ``counts`` has the interactions of every code; an item without any counts as seen once.
    """
    total = max(int(counts.sum()), 1)
    bits = np.log2(total / np.maximum(counts, 1))
    return listed.mean_per_list(bits[listed.items])
