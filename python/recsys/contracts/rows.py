"""Rows of DB-only mode as JSON, and what loading them answers. Files may have them in other types and
formats.
"""

from __future__ import annotations

import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from recsys.contracts.http import Name
from recsys.contracts.records import Id, Timestamp
from recsys.contracts.rules import SegmentName

RowKind = Literal["catalog", "popularity", "cooc"]
Count = Annotated[float, Meta(ge=0.0)]


class CatalogRow(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One item. Without ``surface`` it is for all surfaces."""

    item_id: Id
    title: str | None = None
    tags: list[str] | None = None
    brand: str | None = None
    category: str | None = None
    price: Annotated[float, Meta(ge=0.0)] | None = None
    created_at: Timestamp | None = None
    available: bool | None = None
    valid_until: Timestamp | None = None
    surface: Name | None = None


class PopularityRow(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """How often an item was taken on a day. Without ``surface`` that of the query holds."""

    item_id: Id
    day: datetime.date
    count: Count
    surface: Name | None = None
    segment: SegmentName | None = None


class CoocRow(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """How often an item was taken together with another on a day."""

    item_id: Id
    neighbor_id: Id
    day: datetime.date
    count: Count
    surface: Name | None = None


class RowsLoaded(Struct, frozen=True):
    """What a load did. ``changed`` counts the sets (days, or catalogs) that are another now."""

    kind: RowKind
    rows: int
    sets: int
    changed: int
    surfaces: list[str]
    first_day: datetime.date | None
    last_day: datetime.date | None
    sha256: str
