"""Popularity bias: the mean popularity of the recommended items (ARP; Yin et al., VLDB 2012), as share
of the top item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from recsys.evaluation.ranking_metrics.judged import Floats


def popularity_bias(lists: Sequence[Sequence[str]], counts: Mapping[str, int]) -> Floats:
    """Return per list, ``(n,)``, the mean of count / largest count (0..1); 0 for an empty list."""
    largest = max(counts.values(), default=0)
    if largest <= 0:
        return np.zeros(len(lists))
    return np.array(
        [
            sum(counts.get(item, 0) for item in listed) / (largest * len(listed)) if listed else 0.0
            for listed in lists
        ]
    )
