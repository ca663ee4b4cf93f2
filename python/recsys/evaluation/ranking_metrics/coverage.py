"""Catalog coverage: distinct items recommended, over the items of the catalog (Ge et al., RecSys 2010)."""

from __future__ import annotations

import numpy as np

from recsys.evaluation.ranking_metrics.listed import Listed


def coverage(listed: Listed) -> float:
    """Return the share (0..1) of the catalog in any list; items outside of it do not count, an empty one
    gives 0.
    """
    known = np.unique(listed.items[listed.items < listed.n_catalog])
    return len(known) / listed.n_catalog if listed.n_catalog else 0.0
