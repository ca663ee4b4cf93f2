"""F1 at k: harmonic mean of precision and recall, 2PR / (P + R) (van Rijsbergen 1979, F with beta = 1)."""

from __future__ import annotations

from recsys.evaluation.ranking_metrics.judged import Floats, Judged, ratio
from recsys.evaluation.ranking_metrics.precision import precision
from recsys.evaluation.ranking_metrics.recall import recall


def f1(judged: Judged, k: int, *, divide_by_k: bool = False) -> Floats:
    """Return F1 per list, ``(n,)`` in 0..1; 0 when there is no hit. ``divide_by_k`` is that of precision."""
    p = precision(judged, k, divide_by_k=divide_by_k)
    r = recall(judged, k)
    return ratio(2 * p * r, p + r)
