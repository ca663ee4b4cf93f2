"""Settings of fresh popularity: what users took since the release was built counts before the next one."""

from __future__ import annotations

import math
from typing import Annotated

from msgspec import Meta, Struct

from recsys.contracts.documents import InvalidDocument

MAX_FRESH_ITEMS = 10_000


class FreshPopularity(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Adds to an item's popularity what users took of it after the release's window, at most ``window_hours``
    ago.

    Each user counts once per item, ``weight`` times the pipeline's weight of the event, halved every
    ``half_life_hours``. An item needs ``min_users`` users; the first ``max_items`` of a list gain. It is
    computed anew every ``refresh_s`` seconds.
    """

    window_hours: Annotated[float, Meta(gt=0.0, le=168.0)] = 24.0
    half_life_hours: Annotated[float, Meta(gt=0.0)] = 6.0
    refresh_s: Annotated[float, Meta(ge=5.0, le=3600.0)] = 60.0
    weight: Annotated[float, Meta(gt=0.0, le=1e6)] = 1.0
    min_users: Annotated[int, Meta(ge=1)] = 3
    max_items: Annotated[int, Meta(ge=1, le=MAX_FRESH_ITEMS)] = 1000


def check_fresh_popularity(settings: FreshPopularity, at: str) -> None:
    """Raise :class:`InvalidDocument` for numbers that cannot be used."""
    for name in ("window_hours", "half_life_hours", "weight"):
        if not math.isfinite(getattr(settings, name)):
            raise InvalidDocument(f"{at}.{name}", "must be a finite number")
