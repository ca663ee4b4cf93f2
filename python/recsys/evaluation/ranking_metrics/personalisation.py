"""Personalisation: one minus the mean overlap of the lists of two requests, as cosine of their item sets.

With binary item vectors the mean over all pairs needs no pairs: it is (|sum of unit vectors|^2 - m) / (m
(m - 1)). The inter-list distance of Zhou et al., PNAS 107 (2010), for lists of any length.
"""

from __future__ import annotations

import numpy as np

from recsys.evaluation.ranking_metrics.listed import Listed


def personalisation(listed: Listed) -> float:
    """Return 0 (all lists alike) to 1 (no two share an item), over non-empty lists; 0 below two of them."""
    sets = listed.distinct()
    lengths = sets.lengths
    m = int((lengths > 0).sum())
    if m < 2:
        return 0.0
    total = np.bincount(sets.items, weights=np.repeat(np.maximum(lengths, 1) ** -0.5, lengths))
    overlap = (float((total * total).sum()) - m) / (m * (m - 1))
    return min(max(1 - overlap, 0.0), 1.0)
