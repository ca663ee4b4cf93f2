"""Gini coefficient of how often each item of the catalog is recommended: 0 all alike, towards 1 a few only.

G = sum over i of (2i - n - 1) x_i / (n sum x), with counts x ascending (Fleder and Hosanagar, Management
Science 2009).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np


def gini(lists: Sequence[Sequence[str]], catalog: Collection[str]) -> float:
    """Return the coefficient (0..1) over ``catalog``, items never recommended included; 0 when nothing
    was."""
    counts = Counter(item for listed in lists for item in listed)
    x = np.sort(np.array([counts[item] for item in set(catalog)], dtype=np.float64))
    if x.sum() == 0:
        return 0.0
    n = len(x)
    return float(((2 * np.arange(1, n + 1) - n - 1) * x).sum() / (n * x.sum()))
