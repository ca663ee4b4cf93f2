"""The bodies of ``POST /v1/events``: outcomes, and exposures of clients that render lists themselves.

``user_id`` in them is the caller's own id, of which the service makes the pseudonym.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Struct

from recsys.contracts.problems import ProblemCode
from recsys.contracts.records import Exposure, Outcome

MAX_EVENTS = 1000
MAX_CLOCK_AHEAD_S = 24 * 3600.0
MAX_AGE_S = 365 * 24 * 3600.0
MAX_VALUE = 1e12
"""Of an outcome, above and below 0: one more would drown every sum that it is part of."""

EventKind = Literal["outcome", "exposure"]


class EventsRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """At most 1,000 records in all; each is taken or refused by itself."""

    outcomes: list[Outcome] = []
    exposures: list[Exposure] = []


class RawEvents(Struct, frozen=True, forbid_unknown_fields=True):
    """The same, its records not decoded yet."""

    outcomes: list[msgspec.Raw] = []
    exposures: list[msgspec.Raw] = []


class RejectedEvent(Struct, frozen=True):
    """A record that was not taken: its place in the list of its kind, and why."""

    index: int
    kind: EventKind
    code: ProblemCode
    detail: str


class EventsResponse(Struct, frozen=True):
    """``accepted`` records are in the log, ``duplicates`` were there already."""

    accepted: int
    duplicates: int
    rejected: list[RejectedEvent]
