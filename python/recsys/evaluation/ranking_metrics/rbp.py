"""Rank-biased precision: (1 - p) times the sum of rel(i) p^(i-1), for a reader who goes on with
probability p.

Moffat and Zobel, Rank-biased precision for measurement of retrieval effectiveness, TOIS 27 (2008).
"""

from __future__ import annotations

import numpy as np

from recsys.evaluation.ranking_metrics.judged import Floats, Judged

DEFAULT_PERSISTENCE = 0.8


def rbp(judged: Judged, k: int, *, persistence: float = DEFAULT_PERSISTENCE) -> Floats:
    """Return RBP over the first k ranks per list, ``(n,)`` in 0..1; ``persistence`` p lies in 0..1, 1
    excluded."""
    relevant = judged.gains[:, :k] > 0
    weights = (1 - persistence) * persistence ** np.arange(relevant.shape[1])
    return np.asarray((relevant * weights).sum(axis=1), dtype=np.float64)
