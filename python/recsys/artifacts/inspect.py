"""What an artifact holds: counts, top entries and distributions, for people."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np

from recsys._native import Catalog, Signal
from recsys.contracts.errors import ArtifactError

QUANTILES = (0, 10, 50, 90, 99, 100)


class ScoredItem(msgspec.Struct, frozen=True, omit_defaults=True):
    """One entry of a ranked list; ``rank`` counts from 1."""

    rank: int
    item_id: str
    score: float
    title: str | None = None


class CatalogSummary(msgspec.Struct, frozen=True):
    """A catalog: how many items, which share of them (0..1) has each attribute, and its commonest tags."""

    path: str
    items: int
    available: int
    filled: dict[str, float]
    tags: int
    top_tags: list[tuple[str, int]]
    ids_digest: str
    metadata: msgspec.Raw
    kind: str = "catalog"


class SignalSummary(msgspec.Struct, frozen=True):
    """A signal: keys, entries, percentiles of the lists' lengths, and the top of its first keys' lists."""

    path: str
    kind: str
    key_type: str
    keys: int
    entries: int
    list_lengths: dict[str, float]
    top: dict[str, list[ScoredItem]]
    ids_digest: str
    metadata: msgspec.Raw


def open_artifact(path: Path) -> Catalog | Signal:
    """Map a catalog or a signal; raises :class:`ArtifactError` for anything else."""
    try:
        return Catalog.open(str(path))
    except ArtifactError as not_a_catalog:
        try:
            return Signal.open(str(path))
        except ArtifactError as error:
            raise error from not_a_catalog


def inspect_catalog(catalog: Catalog, *, limit: int = 10) -> CatalogSummary:
    """Return what a catalog holds, with its ``limit`` commonest tags. Reads every item."""
    names = ("title", "tags", "brand", "category", "price", "created_at_ms", "valid_until_ms")
    filled = dict.fromkeys(names, 0)
    available = 0
    for ordinal in range(catalog.n_items):
        item = catalog.item_at(ordinal)
        available += item.available
        for name in names:
            value: object = getattr(item, name)
            filled[name] += value is not None and value != []
    tags = sorted(catalog.tag_counts(), key=lambda tag: (-tag[1], tag[0]))
    return CatalogSummary(
        path=catalog.path,
        items=catalog.n_items,
        available=available,
        filled={name: count / max(1, catalog.n_items) for name, count in filled.items()},
        tags=len(tags),
        top_tags=tags[:limit],
        ids_digest=catalog.ids_digest,
        metadata=msgspec.Raw(catalog.metadata.encode()),
    )


def inspect_signal(signal: Signal, catalog: Catalog | None, *, limit: int = 10) -> SignalSummary:
    """Return what a signal holds.

    With its catalog, and for string keys, it has the ``limit`` best items of the first ``limit`` keys.
    """
    lengths = np.array(signal.list_lengths() or [0])
    values = np.percentile(lengths, QUANTILES)
    top: dict[str, list[ScoredItem]] = {}
    if catalog is not None:
        for key in signal.keys(0, limit):
            top[key] = ranked_items(signal, catalog, key, limit)
    return SignalSummary(
        path=signal.path,
        kind=signal.kind,
        key_type=signal.key_type,
        keys=signal.n_keys,
        entries=signal.n_entries,
        list_lengths={f"p{at}": float(value) for at, value in zip(QUANTILES, values, strict=True)},
        top=top,
        ids_digest=signal.ids_digest,
        metadata=msgspec.Raw(signal.metadata.encode()),
    )


def ranked_items(signal: Signal, catalog: Catalog, key: str, limit: int) -> list[ScoredItem]:
    """Return the ``limit`` best items of one key's list, with titles.

    Raises :class:`ArtifactError` for a key that the signal does not know and for a foreign catalog.
    """
    if signal.ids_digest != catalog.ids_digest:
        raise ArtifactError(f"{signal.path} was built for another catalog than {catalog.path}")
    if signal.key_type == "item" and catalog.ordinal(key) is None:
        raise ArtifactError(f"{catalog.path}: there is no item {key!r}")
    ranked = signal.ranked(catalog, key, limit)
    if ranked is None:
        raise ArtifactError(f"{signal.path}: there is no list for {signal.key_type} {key!r}")
    entries: list[ScoredItem] = []
    for rank, (item_id, score) in enumerate(ranked, 1):
        item = catalog.item(item_id)
        entries.append(ScoredItem(rank, item_id, score, None if item is None else item.title))
    return entries
