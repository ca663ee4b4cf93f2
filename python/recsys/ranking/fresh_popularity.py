"""Fresh popularity: the published lists with what users took since, as the next pipeline run would count it.

The result is an artifact of its own, named by its content, so that one version always ranks alike.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from recsys._native import Catalog, Signal, SignalPacker
from recsys.contracts.fresh_popularity import FreshPopularity
from recsys.contracts.http import DEFAULT_SEGMENT
from recsys.eventlog.outcome_window import PlacedOutcome

_ANY_EVENT = "*"
_KEYS_PER_READ = 1000
FreshCounts = Mapping[str, Mapping[str, float]]
"""By segment and item: what is added to the list score."""


class _Window(Struct, frozen=True):
    start: datetime
    end: datetime


class _Metadata(Struct, frozen=True):
    window: _Window | None = None


def window_end_s(popularity: Signal) -> float:
    """Return up to when (Unix seconds) a published list has counted everything; 0 when it does not say."""
    window = msgspec.json.decode(popularity.metadata, type=_Metadata).window
    return 0.0 if window is None else window.end.timestamp()


def count_fresh(
    outcomes: Iterable[PlacedOutcome],
    settings: FreshPopularity,
    event_weights: Mapping[str, float],
    *,
    after_s: float,
    as_of_s: float,
) -> dict[str, dict[str, float]]:
    """Return what each item gains in each segment, by the outcomes of one surface.

    Counted are outcomes later than ``after_s``, within the window that ends at ``as_of_s`` (Unix seconds).
    Of a user's outcomes of an item the one that weighs most counts. The segment ``default`` is the list over
    all. The order of the outcomes does not matter.
    """
    oldest_s = max(after_s, as_of_s - settings.window_hours * 3600)
    otherwise = event_weights.get(_ANY_EVENT, 1.0)
    best: defaultdict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    for one in outcomes:
        weight = event_weights.get(one.event_type, otherwise)
        if not oldest_s < one.at_s <= as_of_s or weight <= 0.0:
            continue
        age_hours = (as_of_s - one.at_s) / 3600
        gain = settings.weight * weight * 2.0 ** -(age_hours / settings.half_life_hours)
        for segment in {one.segment, DEFAULT_SEGMENT}:
            of_user = best[segment, one.item_id]
            of_user[one.user] = max(gain, of_user.get(one.user, 0.0))
    counts: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for (segment, item_id), of_user in best.items():
        if len(of_user) >= settings.min_users:
            counts[segment][item_id] = math.fsum(of_user.values())
    return {
        segment: dict(sorted(items.items(), key=lambda one: (-one[1], one[0]))[: settings.max_items])
        for segment, items in counts.items()
    }


def merge_popularity(catalog: Catalog, popularity: Signal, counts: FreshCounts, out: Path) -> str | None:
    """Write the published lists with ``counts`` added to ``out``; return the file's hex SHA-256.

    ``None``, and no file, when no item of the catalog gains anything. Segments without a list get none.
    """
    known = {
        segment: {item: gain for item, gain in gains.items() if catalog.ordinal(item) is not None}
        for segment, gains in counts.items()
    }
    packer = SignalPacker(catalog, kind="popularity", key_type="segment")
    is_changed = False
    for offset in range(0, popularity.n_keys, _KEYS_PER_READ):
        for segment in popularity.keys(offset, _KEYS_PER_READ):
            scores = dict(popularity.ranked(catalog, segment, catalog.n_items) or ())
            for item, gain in known.get(segment, {}).items():
                scores[item] = scores.get(item, 0.0) + gain
                is_changed = True
            packer.push(segment, list(scores), list(scores.values()))
    if not is_changed:
        return None
    out.parent.mkdir(parents=True, exist_ok=True)
    about: dict[str, object] = {"params": {"fresh_items": sum(map(len, known.values()))}}
    window = msgspec.json.decode(popularity.metadata, type=_Metadata).window
    if window is not None:
        about["window"] = window
    return packer.finish(str(out), metadata=msgspec.json.encode(about).decode())
