"""Hit rate: 1 when any of the first k items is relevant, else 0 (standard)."""

from __future__ import annotations

import numpy as np

from recsys.evaluation.ranking_metrics.judged import Floats, Judged


def hit_rate(judged: Judged, k: int) -> Floats:
    """Return 1.0 or 0.0 per list, ``(n,)``."""
    return np.asarray(judged.hits(k) > 0, dtype=np.float64)
