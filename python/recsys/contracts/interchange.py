"""The JSON artifacts exchanged with other implementations: what they share, and an entry of each kind."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from recsys.contracts.records import Id, Timestamp

InterchangeKind = Literal["popularity", "cooc", "implicit", "session_seq", "content_sim"]
MAX_EXACT_INTEGER = 2**53
"""Beyond this a number of JSON has no exact double, which is what an artifact keeps."""

Score = Annotated[float, Meta(ge=-1e100, le=1e100)]
"""What an artifact takes as a score, so that sums and boosts of scores stay numbers."""


class InterchangeWindow(Struct, frozen=True, forbid_unknown_fields=True):
    """First and last moment of what an artifact was built from."""

    start: Timestamp
    end: Timestamp


class InterchangeBuild(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """When and by what an artifact was built; ``source_hash`` names its input."""

    built_at: Timestamp
    version: str
    source_hash: str | None = None


class InterchangeHeader(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """All of a document but its entries."""

    v: Literal[1]
    artifact_type: InterchangeKind
    tenant: Id
    surface: Id
    window: InterchangeWindow
    build: InterchangeBuild
    segment: Id | None = None


class CountedItem(Struct, frozen=True, forbid_unknown_fields=True):
    """An item and its count, which decay may have made a fraction."""

    item_id: Id
    count: Score


class ScoredItem(Struct, frozen=True, forbid_unknown_fields=True):
    """An item and its score."""

    item_id: Id
    score: Score


class Neighbors(Struct, frozen=True, forbid_unknown_fields=True):
    """What is taken together with an item."""

    item_id: Id
    items: list[CountedItem]


class UserItems(Struct, frozen=True, forbid_unknown_fields=True):
    """What suits a user."""

    user_id: Id
    items: list[ScoredItem]


class TaggedItem(Struct, frozen=True, forbid_unknown_fields=True):
    """An item and its tags."""

    item_id: Id
    tags: list[Id]


Entry = CountedItem | Neighbors | UserItems | TaggedItem

ENTRIES: dict[InterchangeKind, tuple[str, type[Entry]]] = {
    "popularity": ("items", CountedItem),
    "cooc": ("neighbors", Neighbors),
    "implicit": ("users", UserItems),
    "session_seq": ("users", UserItems),
    "content_sim": ("items", TaggedItem),
}
"""Where a kind's entries are in its document, and what each of them is."""
