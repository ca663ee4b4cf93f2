"""Event records: one struct per line of a log, the same in JSON Lines and in Parquet.

Timestamps are RFC 3339 with a zone, ids are non-empty strings, and unknown top-level keys are refused.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

Id = Annotated[str, Meta(min_length=1)]
Timestamp = Annotated[datetime, Meta(tz=True)]
Probability = Annotated[float, Meta(ge=0.0, le=1.0)]
EventType = Literal["click", "conversion"]


class ExposedItem(Struct, frozen=True, omit_defaults=True):
    """One item of a served list; keys beyond these are allowed and ignored."""

    item_id: Id
    rank: Annotated[int, Meta(ge=1)]
    propensity: Probability | None = None
    logging_propensity: Probability | None = None
    target_propensity: Probability | None = None


class Exposure(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """``exposure.v1``: what one request was served. ``latency_ms`` is in milliseconds."""

    request_id: Id
    user_id: Id
    ts: Timestamp
    items: list[ExposedItem]
    context: dict[str, str] | None = None
    latency_ms: Annotated[float, Meta(ge=0.0)] | None = None
    error: bool | None = None


class Outcome(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """``outcome.v1``: a click on, or a conversion of, one item of one request."""

    request_id: Id
    user_id: Id
    item_id: Id
    event_type: EventType
    ts: Timestamp
    value: float | None = None


class Assignment(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """``assignment.v1``: the arm that an experiment gave to one request."""

    experiment_id: Id
    variant: Id
    request_id: Id
    user_id: Id
    ts: Timestamp
    context: dict[str, str] | None = None


class RankList(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """``ranklist.v1``: a ranked list of item ids, best first, for offline comparison."""

    request_id: Id
    user_id: Id
    ts: Timestamp
    items: list[Id]
    context: dict[str, str] | None = None


class Interaction(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One interaction row, the pipelines' input: one per item, ``v`` is 1."""

    v: Literal[1]
    ts: Timestamp
    tenant: Id
    surface: Id
    session_id: Id
    item_id: Id
    user_id: Id | None = None
    request_id: Id | None = None
    rank: Annotated[int, Meta(ge=0)] | None = None
    event_type: str | None = None
    value: float | None = None
