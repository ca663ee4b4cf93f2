"""Popularity bias: the mean popularity of the recommended items, as share of the top item.

The average recommendation popularity (ARP) of Yin et al., Challenging the long tail recommendation, PVLDB 5
(2012), scaled to 0..1.
"""

from __future__ import annotations

import numpy as np

from recsys.evaluation.ranking_metrics.judged import Floats, Ints
from recsys.evaluation.ranking_metrics.listed import Listed


def popularity_bias(listed: Listed, counts: Ints) -> Floats:
    """Return per list, ``(n,)``, the mean of count / largest count (0..1); 0 for an empty list.

    ``counts`` has the interactions of every code.
    """
    largest = int(counts.max(initial=0))
    if largest <= 0:
        return np.zeros(len(listed))
    return listed.mean_per_list(counts[listed.items] / largest)
