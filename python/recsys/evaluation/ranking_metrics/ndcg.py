"""nDCG at k: sum of gain(i) / log2(i + 1) for i <= k, over the same sum of the best possible order.

Jarvelin and Kekalainen, Cumulated gain-based evaluation of IR techniques, TOIS 20 (2002). Graded gains
are the grades
themselves (linear), binary gains are 1 for every relevant item.
"""

from __future__ import annotations

import numpy as np

from recsys.evaluation.ranking_metrics.judged import Floats, Judged, ratio


def ndcg(judged: Judged, k: int, *, graded: bool = False) -> Floats:
    """Return nDCG per list, ``(n,)`` in 0..1; 0 when the request has no relevant item."""
    return ratio(_dcg(judged.gains[:, :k], graded=graded), _dcg(judged.ideal[:, :k], graded=graded))


def _dcg(gains: Floats, *, graded: bool) -> Floats:
    values = gains if graded else np.asarray(gains > 0, dtype=np.float64)
    discounts = np.log2(np.arange(2, values.shape[1] + 2))
    return np.asarray((values / discounts).sum(axis=1), dtype=np.float64)
