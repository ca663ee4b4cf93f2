"""The metrics of ranked lists that look at items, not judgements: coverage, Gini, novelty, diversity and
such.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recsys.evaluation.offline_cases import CaseLists
from recsys.evaluation.offline_items import CatalogItems
from recsys.evaluation.offline_metrics import MetricKey
from recsys.evaluation.ranking_metrics.coverage import coverage
from recsys.evaluation.ranking_metrics.gini import gini
from recsys.evaluation.ranking_metrics.intra_list_diversity import intra_list_diversity
from recsys.evaluation.ranking_metrics.judged import Floats, Ints
from recsys.evaluation.ranking_metrics.listed import Listed
from recsys.evaluation.ranking_metrics.novelty import novelty
from recsys.evaluation.ranking_metrics.personalisation import personalisation
from recsys.evaluation.ranking_metrics.popularity_bias import popularity_bias

Hashes = np.ndarray[tuple[int], np.dtype[np.uint64]]


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The items of all systems: ``hashes`` sorted, the code of each (the catalog's come first),
    interactions by code, and tags by code when there are any.
    """

    hashes: Hashes
    codes: Ints
    n_catalog: int
    counts: Ints
    tags: list[frozenset[str]] | None

    @classmethod
    def of(
        cls, listed: Sequence[Hashes], counted: tuple[Hashes, Ints], catalog: CatalogItems | None
    ) -> Vocabulary:
        """Return the vocabulary of lists, items with outcomes and their counts, and the catalog, if any."""
        hashes = np.unique(np.concatenate([*listed, counted[0], *([catalog.hashes] if catalog else [])]))
        is_known = np.isin(hashes, catalog.hashes) if catalog else np.ones(len(hashes), dtype=bool)
        codes = np.empty(len(hashes), dtype=np.int64)
        codes[is_known] = np.arange(is_known.sum())
        codes[~is_known] = np.arange(is_known.sum(), len(hashes))
        counts = np.zeros(len(hashes), dtype=np.int64)
        counts[codes[np.searchsorted(hashes, counted[0])]] = counted[1]
        tags = None
        if catalog is not None and catalog.has_tags:
            # The catalog is sorted by hash, as its codes are.
            tags = catalog.tags + [frozenset()] * (len(hashes) - len(catalog.tags))
        return cls(hashes, codes, int(is_known.sum()), counts, tags)

    def encode(self, found: CaseLists) -> Listed:
        """Return a system's lists by the codes of their items."""
        items = self.codes[np.searchsorted(self.hashes, found.items)]
        return Listed(items, found.offsets, self.n_catalog)


def score_items(
    found: CaseLists, vocabulary: Vocabulary, depth: int
) -> tuple[dict[MetricKey, Floats], dict[MetricKey, float]]:
    """Return the metrics by list, ``(n,)`` each, and those over all lists; both of the first ``depth``
    items.
    """
    listed = vocabulary.encode(found)
    by_list: dict[MetricKey, Floats] = {
        ("novelty", depth): novelty(listed, vocabulary.counts),
        ("popularity_bias", depth): popularity_bias(listed, vocabulary.counts),
    }
    if vocabulary.tags is not None:
        by_list["intra_list_diversity", depth] = intra_list_diversity(listed, vocabulary.tags)
    overall: dict[MetricKey, float] = {
        ("coverage", depth): coverage(listed),
        ("gini", depth): gini(listed),
        ("personalisation", depth): personalisation(listed),
    }
    return by_list, overall
