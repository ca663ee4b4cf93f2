"""The metrics of ranked lists that judgements give, as one column per metric and cut-off."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from recsys.evaluation.ranking_metrics.average_precision import average_precision
from recsys.evaluation.ranking_metrics.f1 import f1
from recsys.evaluation.ranking_metrics.hit_rate import hit_rate
from recsys.evaluation.ranking_metrics.judged import Floats, Ints, Judged, judge_hits
from recsys.evaluation.ranking_metrics.ndcg import ndcg
from recsys.evaluation.ranking_metrics.precision import precision
from recsys.evaluation.ranking_metrics.r_precision import r_precision
from recsys.evaluation.ranking_metrics.rbp import rbp
from recsys.evaluation.ranking_metrics.recall import recall
from recsys.evaluation.ranking_metrics.reciprocal_rank import reciprocal_rank

MetricKey = tuple[str, int | None]
"""A metric's name and its cut-off, None where it has none."""

_CELLS_PER_CHUNK = 4_000_000


def score_lists(
    lengths: Ints,
    hits: tuple[Ints, Ints, Floats],
    relevant: tuple[Ints, Floats],
    *,
    ks: Sequence[int],
    divide_by_k: bool,
    persistence: float,
) -> dict[MetricKey, Floats]:
    """Return every metric per list, ``(n,)`` each; ``lengths``, ``hits`` and ``relevant`` as in
    ``judge_hits``.

    Both must be in order of list number. Memory does not grow with ``n`` but for the result.
    """
    n, depth = len(lengths), max(ks)
    found: dict[MetricKey, Floats] = {}
    step = max(1, _CELLS_PER_CHUNK // max(depth, int(hits[1].max(initial=0))))
    for start in range(0, max(n, 1), step):
        stop = min(start + step, n)
        of = slice(*np.searchsorted(hits[0], [start, stop]))
        among = slice(*np.searchsorted(relevant[0], [start, stop]))
        judged = judge_hits(
            lengths[start:stop],
            (hits[0][of] - start, hits[1][of], hits[2][of]),
            (relevant[0][among] - start, relevant[1][among]),
            depth,
        )
        for key, values in _metrics_of(judged, ks, divide_by_k=divide_by_k, persistence=persistence):
            found.setdefault(key, np.empty(n))[start:stop] = values
    return found


def _metrics_of(
    judged: Judged, ks: Sequence[int], *, divide_by_k: bool, persistence: float
) -> Iterator[tuple[MetricKey, Floats]]:
    measures: dict[str, Callable[[int], Floats]] = {
        "ndcg": lambda k: ndcg(judged, k),
        "ndcg_graded": lambda k: ndcg(judged, k, graded=True),
        "recall": lambda k: recall(judged, k),
        "precision": lambda k: precision(judged, k, divide_by_k=divide_by_k),
        "f1": lambda k: f1(judged, k, divide_by_k=divide_by_k),
        "hit_rate": lambda k: hit_rate(judged, k),
        "map": lambda k: average_precision(judged, k),
        "mrr": lambda k: reciprocal_rank(judged, k),
        "rbp": lambda k: rbp(judged, k, persistence=persistence),
    }
    for name, measure in measures.items():
        for k in ks:
            yield (name, k), measure(k)
    yield ("r_precision", None), r_precision(judged)
