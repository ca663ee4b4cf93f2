"""What an artifact holds: counts, top entries and distributions, for people."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np

from recsys._native import Catalog, SessionIndex, Signal
from recsys.contracts.errors import ArtifactError

QUANTILES = (0, 10, 50, 90, 99, 100)
_TYPE_CODE = slice(12, 16)
_SESSION_INDEX = (3).to_bytes(4, "little")


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


class SessionIndexSummary(msgspec.Struct, frozen=True):
    """A session index: sizes, and percentiles of sessions that an item keeps and of items in a session."""

    path: str
    kind: str
    items: int
    sessions: int
    entries: int
    sessions_per_item: int
    list_lengths: dict[str, float]
    session_lengths: dict[str, float]
    ids_digest: str
    metadata: msgspec.Raw


Lists = Signal | SessionIndex
"""What can be asked for the list of a key."""


def open_artifact(path: Path) -> Catalog | Lists:
    """Map a catalog, a signal or a session index; raises :class:`ArtifactError` for anything else."""
    try:
        return Catalog.open(str(path))
    except ArtifactError as not_a_catalog:
        try:
            return open_lists(path)
        except ArtifactError as error:
            raise error from not_a_catalog


def open_lists(path: Path) -> Lists:
    """Map a signal or a session index; raises :class:`ArtifactError` for anything else."""
    try:
        return SessionIndex.open(str(path))
    except ArtifactError as not_sessions:
        if _is_session_index(path):
            raise
        try:
            return Signal.open(str(path))
        except ArtifactError as error:
            raise error from not_sessions


def _is_session_index(path: Path) -> bool:
    """Tell by the type in the header, so that a damaged index is told as such."""
    try:
        with path.open("rb") as file:
            header = file.read(_TYPE_CODE.stop)
    except OSError:
        return False
    return header[_TYPE_CODE] == _SESSION_INDEX


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
        list_lengths=_percentiles(signal.list_lengths()),
        top=top,
        ids_digest=signal.ids_digest,
        metadata=msgspec.Raw(signal.metadata.encode()),
    )


def inspect_sessions(index: SessionIndex) -> SessionIndexSummary:
    """Return what a session index holds. Reads where every session and list is."""
    return SessionIndexSummary(
        path=index.path,
        kind=index.kind,
        items=index.n_items,
        sessions=index.n_sessions,
        entries=index.n_entries,
        sessions_per_item=index.sessions_per_item,
        list_lengths=_percentiles(index.list_lengths()),
        session_lengths=_percentiles(index.session_lengths()),
        ids_digest=index.ids_digest,
        metadata=msgspec.Raw(index.metadata.encode()),
    )


def _percentiles(lengths: list[int]) -> dict[str, float]:
    values = np.percentile(np.array(lengths or [0]), QUANTILES)
    return {f"p{at}": float(value) for at, value in zip(QUANTILES, values, strict=True)}


def ranked_items(signal: Lists, catalog: Catalog, key: str, limit: int) -> list[ScoredItem]:
    """Return the ``limit`` best items of one key's list, with titles.

    A session index is searched for a session of the one item that is the key. Raises :class:`ArtifactError`
    for a key that the signal does not know and for a foreign catalog.
    """
    if signal.ids_digest != catalog.ids_digest:
        raise ArtifactError(f"{signal.path} was built for another catalog than {catalog.path}")
    key_type = "item" if isinstance(signal, SessionIndex) else signal.key_type
    if key_type == "item" and catalog.ordinal(key) is None:
        raise ArtifactError(f"{catalog.path}: there is no item {key!r}")
    ranked = signal.ranked(catalog, key, limit)
    if ranked is None:
        raise ArtifactError(f"{signal.path}: there is no list for {key_type} {key!r}")
    entries: list[ScoredItem] = []
    for rank, (item_id, score) in enumerate(ranked, 1):
        item = catalog.item(item_id)
        entries.append(ScoredItem(rank, item_id, score, None if item is None else item.title))
    return entries
