"""Personalisation: one minus the mean overlap of the lists of two requests, as cosine of their item sets.

With binary item vectors the mean over all pairs needs no pairs: it is (|sum of unit vectors|^2 - m) / (m
(m - 1)).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence


def personalisation(lists: Sequence[Sequence[str]]) -> float:
    """Return 0 (all lists alike) to 1 (no two share an item), over non-empty lists; 0 below two of them."""
    sets = [set(listed) for listed in lists if listed]
    if len(sets) < 2:
        return 0.0
    total: defaultdict[str, float] = defaultdict(float)
    for items in sets:
        for item in items:
            total[item] += len(items) ** -0.5
    m = len(sets)
    overlap = (sum(weight * weight for weight in total.values()) - m) / (m * (m - 1))
    return min(max(1 - overlap, 0.0), 1.0)
