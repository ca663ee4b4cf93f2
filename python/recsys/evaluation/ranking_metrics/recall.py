"""Recall at k: relevant items among the first k, over all relevant items of the request (standard)."""

from __future__ import annotations

from recsys.evaluation.ranking_metrics.judged import Floats, Judged, ratio


def recall(judged: Judged, k: int) -> Floats:
    """Return the recall per list, ``(n,)`` in 0..1; 0 when the request has no relevant item."""
    return ratio(judged.hits(k), judged.relevant)
