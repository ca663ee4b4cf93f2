"""Intra-list diversity: mean Jaccard distance of tags over the pairs of a list.

One minus the intra-list similarity of Ziegler et al., Improving recommendation lists through topic
diversification, WWW 2005, with the similarity of Jaccard (1901).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from scipy import sparse

from recsys.evaluation.ranking_metrics.judged import Floats, Ints
from recsys.evaluation.ranking_metrics.listed import Listed

_PAIRS_PER_CHUNK = 2_000_000


def intra_list_diversity(listed: Listed, tags: Sequence[Collection[str]]) -> Floats:
    """Return the mean distance per list, ``(n,)`` in 0..1; 0 below two items.

    ``tags`` has those of every code. Two items without tags are alike.
    """
    tagged = _tag_matrix(tags)
    sizes = np.diff(tagged.indptr)
    result = np.zeros(len(listed))
    lengths = listed.lengths
    # Lists of one length have their pairs at the same places.
    for length in np.unique(lengths[lengths > 1]):
        left, right = np.triu_indices(length, k=1)
        lists = np.flatnonzero(lengths == length)
        for rows in np.array_split(lists, max(1, len(lists) * len(left) // _PAIRS_PER_CHUNK)):
            items = listed.items[listed.offsets[rows][:, None] + np.arange(length)]
            result[rows] = _distances(tagged, sizes, items[:, left], items[:, right]).mean(axis=1)
    return result


def _distances(tagged: sparse.csr_array, sizes: Ints, a: Ints, b: Ints) -> Floats:
    """Return the distance of every pair of codes; each different pair is looked at once."""
    width = tagged.shape[0]
    pairs, where = np.unique(np.minimum(a, b) * width + np.maximum(a, b), return_inverse=True)
    first, second = pairs // width, pairs % width
    common = np.asarray(tagged[first].multiply(tagged[second]).sum(axis=1)).ravel()
    union = sizes[first] + sizes[second] - common
    distances = np.zeros(len(pairs))
    np.divide(common, union, out=distances, where=union > 0)
    distances = np.where(union > 0, 1 - distances, 0.0)
    return np.asarray(distances[where].reshape(a.shape), dtype=np.float64)


def _tag_matrix(tags: Sequence[Collection[str]]) -> sparse.csr_array:
    codes: dict[str, int] = {}
    columns = [codes.setdefault(tag, len(codes)) for item in tags for tag in sorted(set(item))]
    ends = np.concatenate([[0], np.cumsum([len(set(item)) for item in tags], dtype=np.int64)])
    return sparse.csr_array((np.ones(len(columns)), columns, ends), shape=(len(tags), max(len(codes), 1)))
