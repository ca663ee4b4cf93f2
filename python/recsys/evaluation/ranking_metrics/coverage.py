"""Catalog coverage: distinct items recommended, over the items of the catalog (Ge et al., RecSys 2010)."""

from __future__ import annotations

from collections.abc import Collection, Sequence


def coverage(lists: Sequence[Sequence[str]], catalog: Collection[str]) -> float:
    """Return the share (0..1) of ``catalog`` in any list; items outside of it do not count, an empty one
    gives 0."""
    known = set(catalog)
    recommended = {item for listed in lists for item in listed}
    return len(recommended & known) / len(known) if known else 0.0
