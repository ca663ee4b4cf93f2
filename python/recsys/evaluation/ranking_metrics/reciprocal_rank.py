"""Reciprocal rank at k, whose mean is MRR: 1 / rank of the first relevant item, 0 when past k.

Voorhees, The TREC-8 Question Answering Track Report (1999).
"""

from __future__ import annotations

import numpy as np

from recsys.evaluation.ranking_metrics.judged import Floats, Judged


def reciprocal_rank(judged: Judged, k: int) -> Floats:
    """Return the reciprocal rank per list, ``(n,)`` in 0..1."""
    relevant = judged.gains[:, :k] > 0
    if relevant.shape[1] == 0:
        return np.zeros(len(relevant))
    return np.where(relevant.any(axis=1), 1.0 / (relevant.argmax(axis=1) + 1), 0.0)
