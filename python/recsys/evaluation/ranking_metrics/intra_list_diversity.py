"""Intra-list diversity: mean Jaccard distance of tags over the pairs of a list (Ziegler et al., WWW 2005)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from recsys.evaluation.ranking_metrics.judged import Floats


def intra_list_diversity(lists: Sequence[Sequence[str]], tags: Mapping[str, frozenset[str]]) -> Floats:
    """Return the mean distance per list, ``(n,)`` in 0..1; 0 below two items. Two items without tags are
    alike."""
    return np.array([_diversity([tags.get(item, frozenset()) for item in listed]) for listed in lists])


def _diversity(tagged: list[frozenset[str]]) -> float:
    distances = [1 - len(a & b) / len(a | b) if a | b else 0.0 for a, b in combinations(tagged, 2)]
    return sum(distances) / len(distances) if distances else 0.0
