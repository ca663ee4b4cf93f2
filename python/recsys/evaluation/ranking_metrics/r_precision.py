"""R-precision: relevant items among the first R, over R, the number of relevant items of the request.

Manning, Raghavan, Schuetze, Introduction to Information Retrieval (2008).
"""

from __future__ import annotations

import numpy as np

from recsys.evaluation.ranking_metrics.judged import Floats, Judged, ratio


def r_precision(judged: Judged) -> Floats:
    """Return R-precision per list, ``(n,)`` in 0..1; 0 when the request has no relevant item."""
    within = np.arange(judged.gains.shape[1]) < judged.relevant[:, None]
    return ratio(((judged.gains > 0) & within).sum(axis=1), judged.relevant)
