"""What a person wants to know of a release before it serves: how it differs from another one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from msgspec import Struct

from recsys._native import Catalog, Signal
from recsys.artifacts.inspect import Lists, open_lists
from recsys.contracts.errors import ArtifactError
from recsys.contracts.manifest import CATALOG

MAX_KEYS = 50_000
"""So many keys of a signal are compared at most, spread evenly over all."""

_KEYS_PER_READ = 1_000


class SizeChange(Struct, frozen=True):
    """Bytes of an artifact before and after, ``None`` where there is none; ``same`` if the content is."""

    before: int | None
    after: int | None
    same: bool


class ItemsChange(Struct, frozen=True):
    """Items of the catalogs: how many, and which came or went (the first ones in order of id)."""

    before: int
    after: int
    entering: list[str]
    leaving: list[str]
    n_entering: int
    n_leaving: int


class ListChange(Struct, frozen=True):
    """One list's top k: items that enter and leave it, best first, and the share that stays (0..1)."""

    entering: list[str]
    leaving: list[str]
    overlap: float


class SignalChange(Struct, frozen=True):
    """A signal's lists at k: keys, coverage, and what happens to the lists of keys that both have.

    ``item_coverage`` is the share (0..1) of the catalog's items that are in the top k of any compared key;
    ``overlap`` the mean share of items in common; ``lists`` has the lists that changed most.
    """

    keys_before: int
    keys_after: int
    keys_entering: int
    keys_leaving: int
    keys_compared: int
    item_coverage_before: float
    item_coverage_after: float
    overlap: float | None
    lists: dict[str, ListChange]


class ReleaseDiff(Struct, frozen=True):
    """How release ``after`` differs from ``before``, at the first ``k`` items of every list."""

    before: str
    after: str
    k: int
    sizes: dict[str, SizeChange]
    catalog: ItemsChange | None
    signals: dict[str, SignalChange]


def compare_files(
    before: Mapping[str, Path],
    after: Mapping[str, Path],
    *,
    names: tuple[str, str],
    k: int = 20,
    limit: int = 5,
) -> ReleaseDiff:
    """Compare two releases by their local files (kind to path); ``names`` are what the result calls them.

    ``limit`` bounds the lists shown of each signal. Reads whole signals.
    """
    sizes = {
        kind: SizeChange(_size(before.get(kind)), _size(after.get(kind)), before.get(kind) == after.get(kind))
        for kind in sorted(before.keys() | after.keys())
    }
    catalogs = [Catalog.open(str(files[CATALOG])) if CATALOG in files else None for files in (before, after)]
    old, new = catalogs
    signals: dict[str, SignalChange] = {}
    if old is not None and new is not None:
        for kind in sorted((before.keys() & after.keys()) - {CATALOG}):
            pair = [_open_signal(files[kind]) for files in (before, after)]
            if pair[0] is not None and pair[1] is not None:
                signals[kind] = _compare_signals((pair[0], old), (pair[1], new), k, limit)
    items = None if old is None or new is None else _compare_catalogs(old, new, limit)
    return ReleaseDiff(names[0], names[1], k, sizes, items, signals)


def _size(path: Path | None) -> int | None:
    return None if path is None else path.stat().st_size


def _open_signal(path: Path) -> Lists | None:
    """Return a signal or a session index, ``None`` for an artifact that gives no lists."""
    try:
        return open_lists(path)
    except ArtifactError:
        return None


def _compare_catalogs(old: Catalog, new: Catalog, limit: int) -> ItemsChange:
    entering = [item_id for item_id in _item_ids(new) if old.ordinal(item_id) is None]
    leaving = [item_id for item_id in _item_ids(old) if new.ordinal(item_id) is None]
    return ItemsChange(
        old.n_items, new.n_items, entering[:limit], leaving[:limit], len(entering), len(leaving)
    )


def _compare_signals(
    before: tuple[Lists, Catalog], after: tuple[Lists, Catalog], k: int, limit: int
) -> SignalChange:
    old_keys, new_keys = _keys(*before), _keys(*after)
    both = [key for key in old_keys if key in new_keys]
    compared = both[:: max(1, -(-len(both) // MAX_KEYS))]
    old_items: set[str] = set()
    new_items: set[str] = set()
    changes: list[tuple[float, str, ListChange]] = []
    total = 0.0
    for key in compared:
        old = _top(*before, key, k)
        new = _top(*after, key, k)
        old_items.update(old)
        new_items.update(new)
        overlap = len(set(old) & set(new)) / max(len(old), len(new), 1)
        total += overlap
        if overlap < 1:
            entering = [item for item in new if item not in old]
            leaving = [item for item in old if item not in new]
            changes.append((overlap, key, ListChange(entering, leaving, overlap)))
    changes.sort(key=lambda change: (change[0], change[1]))
    return SignalChange(
        keys_before=len(old_keys),
        keys_after=len(new_keys),
        keys_entering=len(new_keys.keys() - old_keys.keys()),
        keys_leaving=len(old_keys.keys() - new_keys.keys()),
        keys_compared=len(compared),
        item_coverage_before=len(old_items) / before[1].n_items,
        item_coverage_after=len(new_items) / after[1].n_items,
        overlap=total / len(compared) if compared else None,
        lists={key: change for _, key, change in changes[:limit]},
    )


def _keys(signal: Lists, catalog: Catalog) -> dict[str, None]:
    """Return the keys whose lists hold anything, in order; of a session index, the items of sessions."""
    if isinstance(signal, Signal) and signal.key_type != "item":
        names = _string_keys(signal)
    else:
        names = _item_ids(catalog)
    return {name: None for name, length in zip(names, signal.list_lengths(), strict=True) if length}


def _string_keys(signal: Signal) -> Iterator[str]:
    for offset in range(0, signal.n_keys, _KEYS_PER_READ):
        yield from signal.keys(offset, _KEYS_PER_READ)


def _item_ids(catalog: Catalog) -> Iterator[str]:
    return (catalog.item_at(ordinal).item_id for ordinal in range(catalog.n_items))


def _top(signal: Lists, catalog: Catalog, key: str, k: int) -> list[str]:
    return [item_id for item_id, _ in signal.ranked(catalog, key, k) or ()]
