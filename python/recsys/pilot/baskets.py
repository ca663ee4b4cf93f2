"""Real baskets as a task: half of what a household bought is known, the rest is what a list should hold."""

from __future__ import annotations

import hashlib
from collections.abc import Collection

import pyarrow as pa
from msgspec import Struct

from recsys.demo.retail import RetailData

MIN_ITEMS = 4
MAX_ANCHORS = 10


class Basket(Struct, frozen=True):
    """One basket: ``known`` items are the anchors, ``rest`` is what else was bought, both in fixed order."""

    household: str
    basket: str
    known: tuple[str, ...]
    rest: tuple[str, ...]


def baskets_of(
    data: RetailData, weeks: range, catalog: Collection[str], limit: int | None = None
) -> list[Basket]:
    """Return the baskets of ``weeks`` with at least four items of the ``catalog``, in the order of their ids.

    Which half is known is drawn by the hash of basket and item, so it is the same in every run. With a
    ``limit``, evenly spaced baskets are kept.
    """
    rows = data.weeks(weeks.start, weeks.stop - 1).transactions
    grouped = (
        pa.table(
            {
                "basket": rows["basket_id"].cast(pa.string()),
                "household": rows["household_id"].cast(pa.string()),
                "item": rows["product_id"].cast(pa.string()),
            }
        )
        .group_by(["basket", "household"], use_threads=False)
        .aggregate([("item", "distinct")])
        .sort_by("basket")
    )
    found: list[Basket] = []
    for row in grouped.to_pylist():
        items = [item for item in row["item_distinct"] if item in catalog]
        if len(items) < MIN_ITEMS:
            continue
        items.sort(key=lambda item: hashlib.sha256(f"{row['basket']} {item}".encode()).digest())
        half = len(items) // 2
        known = tuple(items[: min(half, MAX_ANCHORS)])
        found.append(Basket(row["household"], row["basket"], known, tuple(items[half:])))
    if limit is None or len(found) <= limit:
        return found
    return [found[place * len(found) // limit] for place in range(limit)]
