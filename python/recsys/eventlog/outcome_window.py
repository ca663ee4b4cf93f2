"""The outcomes of the last hours, each with the surface and segment of its list, as the logs of a host grow.

Compacted files are read once, at the start, so that a restart forgets nothing; live parts are followed. Room
is bounded: of lists the latest are known, and of outcomes the latest are kept.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import msgspec
import pyarrow.parquet as pq
from msgspec import Struct

from recsys.contracts.records import Outcome
from recsys.eventlog.layout import LogKind, compacted_files
from recsys.eventlog.tail import LogTail

MAX_LISTS = 300_000
MAX_OUTCOMES = 200_000
"""Of all tenants that are followed: lists that outcomes can be told the place of, and outcomes."""

MAX_WAITING = 20_000
"""Outcomes whose list has not been logged yet: clients may log the lists that they render, later on."""


class PlacedOutcome(Struct, frozen=True):
    """What a user took from a list, at Unix seconds; ``user`` is a pseudonym."""

    tenant: str
    surface: str
    segment: str
    item_id: str
    user: str
    event_type: str
    at_s: float


class _Context(Struct, frozen=True):
    tenant_id: str = ""
    surface: str = ""
    segment: str = ""


class _Exposed(Struct, frozen=True):
    request_id: str
    context: _Context | None = None


_EXPOSED = msgspec.json.Decoder(_Exposed)
_OUTCOME = msgspec.json.Decoder(Outcome)
_Owned = tuple[str, Outcome]


class OutcomeWindow:
    """Follows the logs below a folder for some tenants; used by one thread."""

    def __init__(self, logs: Path, tenants: frozenset[str], since: datetime) -> None:
        """Nothing is read before the first :meth:`read`."""
        self._logs = logs
        self._tenants = tenants
        self._since = since
        self._exposures = LogTail(logs / "exposures", since)
        self._outcomes = LogTail(logs / "outcomes", since)
        self._is_begun = False
        self._lists: dict[bytes, _Context] = {}
        self._contexts: dict[_Context, _Context] = {}
        self._waiting: deque[_Owned] = deque(maxlen=MAX_WAITING)
        self._placed: deque[PlacedOutcome] = deque(maxlen=MAX_OUTCOMES)

    def read(self) -> None:
        """Take in what was logged since the last time."""
        # Outcomes first: the list of each was logged before it.
        fresh = [*self._waiting, *self._live_outcomes()]
        self._live_exposures()
        if not self._is_begun:
            # Live parts first: what is compacted in between is met twice rather than never.
            fresh += self._compacted_outcomes()
            self._compacted_exposures()
            self._is_begun = True
        self._waiting.clear()
        for tenant, outcome in fresh:
            context = self._lists.get(_key(tenant, outcome.request_id))
            if context is None:
                self._waiting.append((tenant, outcome))
                continue
            self._placed.append(
                PlacedOutcome(
                    tenant,
                    context.surface,
                    context.segment,
                    outcome.item_id,
                    outcome.user_id,
                    outcome.event_type,
                    outcome.ts.timestamp(),
                )
            )

    def outcomes(self, tenant: str, surface: str) -> list[PlacedOutcome]:
        """Return the outcomes of a surface, in no order that means anything."""
        return [one for one in self._placed if (one.tenant, one.surface) == (tenant, surface)]

    def _live_outcomes(self) -> Iterator[_Owned]:
        for tenant, line in self._outcomes.read_owned():
            if tenant in self._tenants:
                try:
                    outcome = _OUTCOME.decode(line)
                except msgspec.MsgspecError:
                    continue  # compaction keeps such lines aside and tells of them
                if outcome.ts >= self._since:
                    yield tenant, outcome

    def _live_exposures(self) -> None:
        for line in self._exposures.read():
            try:
                exposed = _EXPOSED.decode(line)
            except msgspec.MsgspecError:
                continue
            if exposed.context is not None and exposed.context.tenant_id in self._tenants:
                self._know(exposed.request_id, exposed.context)

    def _compacted_outcomes(self) -> Iterator[_Owned]:
        for tenant, row in self._rows("outcomes", None):
            yield tenant, msgspec.convert(row, Outcome)

    def _compacted_exposures(self) -> None:
        for _, row in self._rows("exposures", ["request_id", "context", "ts"]):
            context = msgspec.convert(dict(row["context"] or ()), _Context)  # type: ignore[call-overload]
            self._know(str(row["request_id"]), context)

    def _rows(self, kind: LogKind, columns: list[str] | None) -> Iterator[tuple[str, dict[str, object]]]:
        for partition, path in compacted_files(self._logs / kind):
            if partition.tenant not in self._tenants or partition.day < self._since.date():
                continue
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(columns=columns):
                    for row in batch.to_pylist():
                        if row["ts"] >= self._since:
                            yield partition.tenant, row

    def _know(self, request_id: str, context: _Context) -> None:
        key = _key(context.tenant_id, request_id)
        if key not in self._lists and len(self._lists) >= MAX_LISTS:
            del self._lists[next(iter(self._lists))]
        self._lists[key] = self._contexts.setdefault(context, context)


def _key(tenant: str, request_id: str) -> bytes:
    return hashlib.blake2b(f"{tenant}\0{request_id}".encode(), digest_size=8).digest()
