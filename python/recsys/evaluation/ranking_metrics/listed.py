"""Ranked lists as flat columns, the common input of the metrics that need no judgements."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from recsys.contracts.errors import EvaluationError
from recsys.evaluation.ranking_metrics.judged import Floats, Ints


@dataclass(frozen=True, slots=True)
class Listed:
    """``n`` ranked lists: list ``i`` is ``items[offsets[i]:offsets[i + 1]]``, best first.

    Items are codes from 0; those below ``n_catalog`` belong to the catalog that coverage and Gini are about.
    """

    items: Ints
    offsets: Ints
    n_catalog: int

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Ints:
        """Return how many items each list has, ``(n,)``."""
        return np.diff(self.offsets)

    def owner(self) -> Ints:
        """Return the number of the list that each of ``items`` is in."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def distinct(self) -> Listed:
        """Return the lists as sets: each item once a list, in order of code."""
        width = int(self.items.max(initial=0)) + 1
        keys = np.unique(self.owner() * width + self.items)
        counts = np.bincount(keys // width, minlength=len(self))
        return Listed(keys % width, np.concatenate([[0], counts.cumsum()]), self.n_catalog)

    def mean_per_list(self, values: Floats) -> Floats:
        """Return the mean of ``values`` (one per item of ``items``) for each list, 0 for an empty one."""
        totals = np.bincount(self.owner(), weights=values, minlength=len(self))
        return np.asarray(totals / np.maximum(self.lengths, 1), dtype=np.float64)


def list_items(lists: Sequence[Sequence[str]], catalog: Iterable[str]) -> tuple[Listed, dict[str, int]]:
    """Return lists of item ids as columns, with the code of each item; the catalog has the first codes.

    Raises EvaluationError when a list is a string, which would be read letter by letter.
    """
    if any(isinstance(listed, str) for listed in lists):
        raise EvaluationError("a list of items is a sequence of ids, not a string")
    codes = {item: code for code, item in enumerate(sorted(set(catalog)))}
    n_catalog = len(codes)
    for listed in lists:
        for item in listed:
            codes.setdefault(item, len(codes))
    items = np.array([codes[item] for listed in lists for item in listed], dtype=np.int64)
    lengths = np.array([len(listed) for listed in lists], dtype=np.int64)
    return Listed(items, np.concatenate([[0], lengths.cumsum()]).astype(np.int64), n_catalog), codes
