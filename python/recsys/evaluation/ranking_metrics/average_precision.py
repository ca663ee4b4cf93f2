"""Average precision at k, whose mean over lists is MAP: sum of P(i) rel(i) for i <= k, over all relevant
items.

Manning, Raghavan, Schuetze, Introduction to Information Retrieval (2008). P(i) divides by i.
"""

from __future__ import annotations

import numpy as np

from recsys.evaluation.ranking_metrics.judged import Floats, Judged, ratio


def average_precision(judged: Judged, k: int) -> Floats:
    """Return the average precision per list, ``(n,)`` in 0..1; 0 when the request has no relevant item."""
    relevant = judged.gains[:, :k] > 0
    ranks = np.arange(1, relevant.shape[1] + 1)
    return ratio((relevant.cumsum(axis=1) / ranks * relevant).sum(axis=1), judged.relevant)
