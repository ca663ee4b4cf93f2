"""The columns that a reader looks for, and which of them a row cannot do without."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ColumnType = Literal["id", "text", "time", "day", "number", "integer", "flag", "tags"]


@dataclass(frozen=True)
class Column:
    """One column: ``required`` values may not be missing; ``minimum`` and ``equals`` bound a numeric one."""

    name: str
    type: ColumnType
    required: bool = False
    minimum: float | None = None
    equals: int | None = None


INTERACTION_COLUMNS = (
    Column("v", "integer", required=True, equals=1),
    Column("ts", "time", required=True),
    Column("tenant", "id", required=True),
    Column("surface", "id", required=True),
    Column("session_id", "id", required=True),
    Column("item_id", "id", required=True),
    Column("user_id", "id"),
    Column("request_id", "id"),
    Column("rank", "integer", minimum=0),
    Column("event_type", "text"),
    Column("value", "number"),
)
"""The interaction row (version 1), which also refuses any other column."""

MAPPED_INTERACTION_COLUMNS = (
    Column("ts", "time", required=True),
    Column("session_id", "id", required=True),
    Column("item_id", "id", required=True),
    Column("tenant", "id"),
    Column("surface", "id"),
    Column("segment", "id"),
    Column("user_id", "id"),
    Column("request_id", "id"),
    Column("event_type", "text"),
    Column("value", "number"),
    Column("rank", "integer", minimum=0),
)
"""Interactions of any other shape, brought here by a column mapping."""

ESSENTIAL = frozenset({"ts", "session_id", "item_id"})
"""What interactions of any shape need."""

MAP_INTERACTIONS = (
    "rows of another shape than ours need ts, session_id (or who it was) and item_id: "
    "name them with --map OURS=THEIRS, such as --map item_id=sku"
)
"""What is said to do of a file without a mapping that lacks a column."""

CATALOG_COLUMNS = (
    Column("item_id", "id", required=True),
    Column("title", "text"),
    Column("tags", "tags"),
    Column("brand", "text"),
    Column("category", "text"),
    Column("price", "number", minimum=0),
    Column("created_at", "time"),
    Column("available", "flag"),
    Column("valid_until", "time"),
)
"""One row per item."""
