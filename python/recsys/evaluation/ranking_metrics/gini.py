"""Gini coefficient of how often each item of the catalog is recommended: 0 all alike, towards 1 a few only.

G = sum over i of (2i - n - 1) x_i / (n sum x), with counts x ascending: the mean difference of two items over
twice the mean, Gini (1912). Of recommendations: Fleder and Hosanagar, Management Science 55 (2009).
"""

from __future__ import annotations

import numpy as np

from recsys.evaluation.ranking_metrics.listed import Listed


def gini(listed: Listed) -> float:
    """Return the coefficient (0..1) over the catalog, items never recommended included; 0 when none was."""
    n = listed.n_catalog
    x = np.sort(np.bincount(listed.items[listed.items < n], minlength=n).astype(np.float64))
    if x.sum() == 0:
        return 0.0
    return float(((2 * np.arange(1, n + 1) - n - 1) * x).sum() / (n * x.sum()))
