"""Interactions from our own logs: outcomes, each with the surface, segment and rank of its exposure.

Logs have no sessions: those of a user end where nothing happens for half an hour.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from msgspec import Struct

from recsys.contracts.records import Outcome
from recsys.eventlog.layout import compacted_files, live_parts
from recsys.eventlog.reader import TornLine, read_part
from recsys.pipelines.input.errors import InputError

SESSION_GAP = timedelta(minutes=30)
_JOIN_DAYS = timedelta(days=1)


class _Item(Struct, frozen=True):
    item_id: str
    rank: int


class _Exposed(Struct, frozen=True):
    request_id: str
    items: list[_Item]
    context: dict[str, str] | None = None


class LogRows(Struct, frozen=True):
    """What was taken from the logs; outcomes without an exposure of the surface are ``unjoined``."""

    rows: int
    unjoined: int


def download_logs(logs: Path, tenant: str, surface: str, first: date, last: date, out: Path) -> LogRows:
    """Write the outcomes of a range of days on a surface as interactions to a Parquet file.

    Raises :class:`InputError` when there is no log, or no outcome of the surface in it, and
    :class:`~recsys.eventlog.reader.LogError` for a damaged line.
    """
    for kind in ("exposures", "outcomes"):
        if not (logs / kind).is_dir():
            raise InputError(f"{logs / kind}: there is no such log")
    start = datetime(first.year, first.month, first.day, tzinfo=UTC)
    end = datetime(last.year, last.month, last.day, tzinfo=UTC) + timedelta(days=1)
    outcomes = sorted(
        {one for one in _outcomes(logs / "outcomes", tenant) if start <= one.ts < end},
        key=lambda one: (one.user_id, one.ts, one.request_id, one.item_id),
    )
    wanted = {one.request_id for one in outcomes}
    exposed = {
        one.request_id: one
        for one in _exposures(logs / "exposures", tenant, first - _JOIN_DAYS, last)
        if one.request_id in wanted
        and one.context is not None
        and (one.context.get("tenant_id"), one.context.get("surface")) == (tenant, surface)
    }
    joined = [one for one in outcomes if one.request_id in exposed]
    if not joined:
        raise InputError(f"{logs}: no outcome of {tenant}/{surface} from {first} to {last}")
    pq.write_table(_table(joined, exposed, tenant, surface), out)
    return LogRows(len(joined), len(outcomes) - len(joined))


def _table(outcomes: list[Outcome], exposed: dict[str, _Exposed], tenant: str, surface: str) -> pa.Table:
    sessions = list(_sessions(outcomes))
    ranks = [
        next((item.rank for item in exposed[one.request_id].items if item.item_id == one.item_id), None)
        for one in outcomes
    ]
    segments = [(exposed[one.request_id].context or {}).get("segment") for one in outcomes]
    return pa.table(
        {
            "ts": pa.array([one.ts for one in outcomes], pa.timestamp("ms", "UTC")),
            "tenant": pa.array([tenant] * len(outcomes), pa.string()),
            "surface": pa.array([surface] * len(outcomes), pa.string()),
            "session_id": pa.array(sessions, pa.string()),
            "item_id": pa.array([one.item_id for one in outcomes], pa.string()),
            "user_id": pa.array([one.user_id for one in outcomes], pa.string()),
            "segment": pa.array(segments, pa.string()),
            "request_id": pa.array([one.request_id for one in outcomes], pa.string()),
            "event_type": pa.array([one.event_type for one in outcomes], pa.string()),
            "value": pa.array([one.value for one in outcomes], pa.float64()),
            "rank": pa.array(ranks, pa.int64()),
        }
    )


def _sessions(outcomes: list[Outcome]) -> Iterator[str]:
    """Yield a session id for each outcome, which come in order of user and time."""
    before: Outcome | None = None
    session = ""
    for one in outcomes:
        if before is None or before.user_id != one.user_id or one.ts - before.ts > SESSION_GAP:
            session = f"{one.user_id}@{one.ts:%Y%m%dT%H%M%S}"
        before = one
        yield session


def _outcomes(log: Path, tenant: str) -> Iterator[Outcome]:
    for owner, path in live_parts(log):
        if owner in (None, tenant):
            yield from read_part(path, Outcome, _pass_over)
    for partition, path in compacted_files(log):
        if partition.tenant in (tenant, "_unknown"):
            rows = pq.read_table(path, partitioning=None).to_pylist()
            yield from msgspec.convert(rows, list[Outcome])


def _exposures(log: Path, tenant: str, first: date, last: date) -> Iterator[_Exposed]:
    for owner, path in live_parts(log):
        if owner in (None, tenant):
            yield from read_part(path, _Exposed, _pass_over)
    for partition, path in compacted_files(log):
        if partition.tenant == tenant and first <= partition.day <= last:
            table = pq.read_table(path, columns=["request_id", "items", "context"], partitioning=None)
            for row in table.to_pylist():
                context = row["context"]
                row["context"] = None if context is None else dict(context)
                yield msgspec.convert(row, _Exposed)


def _pass_over(_torn: TornLine) -> None:
    """A torn last line was never answered for: its writer was stopped."""
