"""Events on their way into the logs: checked one by one, given pseudonyms, written once, then acknowledged.

What is acknowledged has been handed to the system by ``write(2)``, so it outlives the process, however that
ends. To outlive the host as well, ``sync`` waits for the disk before each answer.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from recsys.contracts.allowed_values import name_values
from recsys.contracts.events import (
    MAX_AGE_S,
    MAX_CLOCK_AHEAD_S,
    MAX_VALUE,
    EventKind,
    EventsResponse,
    RawEvents,
    RejectedEvent,
)
from recsys.contracts.http import Name
from recsys.contracts.patterns import fits_file_name, in_words
from recsys.contracts.problems import ProblemCode
from recsys.contracts.records import Exposure, Outcome
from recsys.eventlog.layout import LogKind, tenant_folder
from recsys.eventlog.parts import PartWriter
from recsys.eventlog.recent import Claim, RecentEvents, Touch, user_key
from recsys.eventlog.seen import SeenItems, Sight

MAX_OPEN_PARTS = 64
_FOLDERS: dict[EventKind, LogKind] = {"outcome": "outcomes", "exposure": "exposures"}
_SHAPES: dict[EventKind, type[Struct]] = {"outcome": Outcome, "exposure": Exposure}
_ENCODER = msgspec.json.Encoder(order="deterministic")
_OUTCOME = msgspec.json.Decoder(Outcome)
_EXPOSURE = msgspec.json.Decoder(Exposure)

Pseudonymise = Callable[[str], str]


class _Line(Struct, frozen=True):
    kind: EventKind
    line: bytes
    claim: Claim
    sight: Sight | None


class EventIntake:
    """Takes the events of all tenants in one worker; only the tenants heard of last keep parts open."""

    def __init__(self, logs: Path, recent: RecentEvents, *, sync: bool = False) -> None:
        self._logs = logs
        self._recent = recent
        self._parts: OrderedDict[tuple[EventKind, str], PartWriter] = OrderedDict()
        self._sync = sync

    def take(
        self,
        tenant: str,
        events: RawEvents,
        pseudonymise: Pseudonymise,
        now: datetime,
        seen: SeenItems | None = None,
    ) -> EventsResponse:
        """Write the sound and new records of a batch; raises ``OSError`` when the log takes none of them.

        ``seen`` remembers what they say that users were shown and took.
        """
        lines: list[_Line] = []
        rejected: list[RejectedEvent] = []
        given: dict[EventKind, list[msgspec.Raw]] = {"outcome": events.outcomes, "exposure": events.exposures}
        for kind, records in given.items():
            for index, raw in enumerate(records):
                try:
                    lines.append(self._check(kind, raw, tenant, pseudonymise, now))
                except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                    said = in_words(name_values(str(error), _SHAPES[kind]))
                    rejected.append(RejectedEvent(index, kind, ProblemCode.INVALID_REQUEST, said))
                except UnsoundRecordError as error:
                    rejected.append(RejectedEvent(index, kind, ProblemCode.UNPROCESSABLE_ENTITY, str(error)))
        if not lines:
            return EventsResponse(0, 0, rejected)
        new = self._recent.claim(
            [line.claim for line in lines], lambda is_new: self._write(tenant, lines, is_new)
        )
        if seen is not None:
            seen.add([line.sight for line, is_new in zip(lines, new, strict=True) if is_new and line.sight])
        return EventsResponse(sum(new), len(new) - sum(new), rejected)

    def close(self) -> None:
        """Close every part."""
        for parts in self._parts.values():
            parts.close()
        self._parts.clear()

    def _write(self, tenant: str, lines: list[_Line], is_new: list[bool]) -> None:
        chosen = [line for line, new in zip(lines, is_new, strict=True) if new]
        for kind in _FOLDERS:
            data = b"".join(line.line for line in chosen if line.kind == kind)
            if data:
                parts = self._parts_of(kind, tenant)
                parts.append(data)
                if self._sync:
                    parts.sync()

    def _parts_of(self, kind: EventKind, tenant: str) -> PartWriter:
        parts = self._parts.pop((kind, tenant), None)
        if parts is None:
            parts = PartWriter(self._logs / _FOLDERS[kind] / tenant_folder(tenant))
            if len(self._parts) >= MAX_OPEN_PARTS:
                self._parts.popitem(last=False)[1].close()
        self._parts[kind, tenant] = parts
        return parts

    def _check(
        self, kind: EventKind, raw: msgspec.Raw, tenant: str, pseudonymise: Pseudonymise, now: datetime
    ) -> _Line:
        """Return the line of one record; raises ``MsgspecError`` or :class:`UnsoundRecordError`."""
        key, touch = None, None
        if kind == "outcome":
            outcome = _OUTCOME.decode(raw)
            _check_time(outcome.ts, now)
            if outcome.value is not None and not abs(outcome.value) <= MAX_VALUE:
                raise UnsoundRecordError(f"value: not a number from {-MAX_VALUE:g} to {MAX_VALUE:g}")
            user = pseudonymise(outcome.user_id)
            logged = msgspec.structs.replace(outcome, user_id=user, ts=outcome.ts.astimezone(UTC))
            line = _ENCODER.encode(logged) + b"\n"
            # A clock of a client that is ahead must not hide from the next request what was taken, nor keep
            # an anchor beyond its time.
            at = min(outcome.ts, now)
            key, touch = user_key(tenant, user), Touch(outcome.item_id, at.timestamp())
            at_us = _microseconds(at)
            event = f"{outcome.request_id}\0{outcome.item_id}"
            sight: Sight | None = Sight(tenant, user, None, at_us, event, [outcome.item_id])
        else:
            line, sight = _exposure_line(raw, tenant, pseudonymise, now)
        digest = hashlib.blake2b(f"{kind}\0{tenant}\0".encode() + line, digest_size=16).digest()
        return _Line(kind, line, Claim(digest, key, touch), sight)


def _exposure_line(
    raw: msgspec.Raw, tenant: str, pseudonymise: Pseudonymise, now: datetime
) -> tuple[bytes, Sight | None]:
    """Return the line, and what it says that the user was shown, if it says on which surface."""
    exposure = _EXPOSURE.decode(raw)
    _check_time(exposure.ts, now)
    ranks = [item.rank for item in exposure.items]
    if len(set(ranks)) < len(ranks):
        raise UnsoundRecordError("items[].rank: a rank occurs twice")
    if len({item.item_id for item in exposure.items}) < len(ranks):
        raise UnsoundRecordError("items[].item_id: an item occurs twice")
    if any(0.0 in (item.propensity, item.logging_propensity) for item in exposure.items):
        raise UnsoundRecordError("items[].propensity: what was shown cannot have propensity 0")
    surface = (exposure.context or {}).get("surface")
    if surface is not None and not (_is_name(surface) and fits_file_name(surface)):
        raise UnsoundRecordError("context.surface: not the name of a surface")
    # The items may have keys of their own, so the record is kept as it came.
    record: dict[str, object] = msgspec.json.decode(raw)
    record["user_id"] = user = pseudonymise(exposure.user_id)
    record["ts"] = exposure.ts.astimezone(UTC)
    record["context"] = {**(exposure.context or {}), "tenant_id": tenant}
    line = _ENCODER.encode(record) + b"\n"
    if surface is None or not exposure.items:
        return line, None
    at_us, item_ids = _microseconds(min(exposure.ts, now)), [item.item_id for item in exposure.items]
    return line, Sight(tenant, user, surface, at_us, exposure.request_id, item_ids)


def _is_name(value: str) -> bool:
    try:
        msgspec.convert(value, Name)
    except msgspec.ValidationError:
        return False
    return True


def _microseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000)


class UnsoundRecordError(Exception):
    """A record of the right shape that cannot be true."""


def _check_time(ts: datetime, now: datetime) -> None:
    ahead = (ts - now).total_seconds()
    if ahead > MAX_CLOCK_AHEAD_S:
        raise UnsoundRecordError(f"ts: {ts.isoformat()} is more than a day ahead of the service's clock")
    if ahead < -MAX_AGE_S:
        raise UnsoundRecordError(f"ts: {ts.isoformat()} is more than a year ago")
