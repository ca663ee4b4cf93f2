"""Precision at k: relevant items among the first k, over the items listed there (standard).

Van Rijsbergen, Information Retrieval (1979). A list shorter than k is divided by its own
length unless
``divide_by_k``, the convention of TREC, which counts the missing places as not relevant.
"""

from __future__ import annotations

import numpy as np

from recsys.evaluation.ranking_metrics.judged import Floats, Judged, ratio


def precision(judged: Judged, k: int, *, divide_by_k: bool = False) -> Floats:
    """Return the precision per list, ``(n,)`` in 0..1; an empty list has 0."""
    places = np.full(len(judged.lengths), k) if divide_by_k else np.minimum(judged.lengths, k)
    return ratio(judged.hits(k), places)
