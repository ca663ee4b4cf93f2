"""Raw interactions to canonical ones: those of a tenant and surface, each once, a Parquet file for each day.

A day's file is replaced as a whole, and only if its rows differ; the order of the input does not matter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from msgspec import Struct

from recsys.artifacts.atomic_files import named_errors, read_pieces, write_atomically
from recsys.pipelines.build.request import BuildInput
from recsys.pipelines.input.quarantine import Quarantine
from recsys.pipelines.input.reader import interaction_source, read_rows
from recsys.pipelines.workspace import (
    Checkpoints,
    DayCheckpoint,
    PipelineError,
    Workspace,
    days_between,
    file_digest,
    source_of,
)

_RECIPE = 1
"""Counts the changes of what this module writes for the same input."""

_COLUMNS: dict[str, pa.DataType] = {
    "ts": pa.int64(),
    "session_id": pa.string(),
    "item_id": pa.string(),
    "user_id": pa.string(),
    "segment": pa.string(),
    "request_id": pa.string(),
    "event_type": pa.string(),
    "value": pa.float64(),
    "rank": pa.int64(),
}
"""The canonical columns, in order of sorting; ``ts`` in Unix milliseconds, written as a UTC timestamp."""

_BUFFER_ROWS = 2_000_000
_DAY_MS = 86_400_000
_EPOCH = date(1970, 1, 1)
_NAMED_DAYS = 7
"""How many days a message names one by one."""


class Ingested(Struct, frozen=True, omit_defaults=True):
    """What an ingest did; ``other`` rows are not of this tenant, surface, segment and range."""

    rows: int
    duplicates: int
    bad: int
    other: int
    days: int
    days_changed: int
    days_kept: int
    quarantine: str | None = None


def ingest(
    workspace: Workspace,
    given: BuildInput,
    first: date,
    last: date,
    *,
    origin: object = None,
    segment: str | None = None,
    incremental: bool = False,
    allow_empty_days: bool = False,
    now: datetime | None = None,
) -> Ingested:
    """Bring the days ``first`` to ``last`` of the workspace up to date with the input.

    ``origin`` names the input where the files are only copies of it, taken from ``now`` on (default: the
    clock). A day whose input has not changed is left alone; ``incremental`` reads only for the days that
    were never ingested since they ended, at midnight UTC. Raises :class:`PipelineError` when the input has
    no row for this tenant, surface and range, or none for a day that has rows now, unless
    ``allow_empty_days``, and what reading raises; then no day has changed.
    """
    today = (now or datetime.now(UTC)).astimezone(UTC).date()
    files = [(str(file.path), file.size, file.path.stat().st_mtime_ns) for file in given.files]
    source = source_of(_RECIPE, origin or files, given.mapping, workspace.tenant, workspace.surface, segment)
    wanted = days_between(first, last)
    with workspace.locked():
        known = workspace.checkpoints().days
        stale = [
            day
            for day in wanted
            if not _is_current(workspace, day, known.get(str(day)), None if incremental else source)
        ]
        if not stale:
            return Ingested(0, 0, 0, 0, len(wanted), 0, len(wanted))
        with TemporaryDirectory(prefix=".ingest-", dir=_make(workspace.folder)) as scratch:
            folder = Path(scratch)
            counts = _spread(workspace, given, set(stale), folder, segment)
            if not counts.used:
                raise PipelineError(_no_row(workspace, wanted, stale, counts))
            if not allow_empty_days:
                _refuse_emptying(workspace, stale, known, folder)
            done = _write_days(workspace, given, stale, folder, source, today)
    bad = str(given.quarantine) if counts.bad and given.quarantine else None
    kept = len(wanted) - len(stale)
    return Ingested(
        counts.used, done.duplicates, counts.bad, counts.other, len(wanted), done.changed, kept, bad
    )


def _no_row(workspace: Workspace, wanted: list[date], stale: list[date], counts: _Counts) -> str:
    kept = len(wanted) - len(stale)
    beside = f" on the {_named(stale)} to be read, beside the {kept} kept as they are" if kept else ""
    return (
        f"no interaction of {workspace.tenant}/{workspace.surface} between {wanted[0]} and {wanted[-1]}"
        f"{beside}: {counts.rows:,} rows read, {counts.bad:,} of them bad, "
        f"{counts.other:,} of others or other days; {_elsewhere(workspace, counts)}"
    )


def _elsewhere(workspace: Workspace, counts: _Counts) -> str:
    """Return on which days the input has the rows that were looked for."""
    name = f"{workspace.tenant}/{workspace.surface}"
    if counts.first is None or counts.last is None:
        return f"no row is of {name}"
    first, last = (_EPOCH + timedelta(days=number) for number in (counts.first, counts.last))
    return f"those of {name} are of {first}" + (f" to {last}" if last != first else "")


def _refuse_emptying(
    workspace: Workspace, stale: list[date], known: Mapping[str, DayCheckpoint], scratch: Path
) -> None:
    """Raise :class:`PipelineError` when the input has no row for a day that has some now."""
    emptied = [
        day
        for day in stale
        if not _raw_file(scratch, day).exists()
        and (workspace.day_file(day).is_file() or ((before := known.get(str(day))) and before.rows))
    ]
    if emptied:
        raise PipelineError(
            f"the input has no row of {workspace.tenant}/{workspace.surface} for {_named(emptied)} that had "
            "some; nothing was changed. Give the input of the whole range, or --incremental to keep the days "
            "that are ingested, or --allow-empty-days to empty them"
        )


def _named(days: list[date]) -> str:
    shown = ", ".join(str(day) for day in days[:_NAMED_DAYS])
    more = "" if len(days) <= _NAMED_DAYS else f", … {days[-1]}"
    return f"{len(days)} day{'' if len(days) == 1 else 's'} ({shown}{more})"


def _is_current(workspace: Workspace, day: date, known: DayCheckpoint | None, source: str | None) -> bool:
    """Whether a day need not be read again: for ``source``, or (``None``) for any since it was over."""
    if known is None or (known.is_partial if source is None else source != known.source):
        return False
    path = workspace.day_file(day)
    return path.is_file() if known.rows else not path.exists()


class _Written(Struct):
    duplicates: int = 0
    changed: int = 0


def _write_days(
    workspace: Workspace, given: BuildInput, days: list[date], scratch: Path, source: str, today: date
) -> _Written:
    advance = given.begin("writing days", len(days))
    checkpoints = workspace.checkpoints()
    stale = {str(day) for day in days}
    known = {day: known for day, known in checkpoints.days.items() if day not in stale}
    workspace.remember(
        Checkpoints(known, checkpoints.builds)
    )  # a run that is killed from here on is run again
    done = _Written()
    for day in days:
        before = checkpoints.days.get(str(day))
        after = _write_day(workspace, day, scratch, source, is_partial=day >= today)
        known[str(day)] = after
        done.duplicates += after.duplicates
        done.changed += before is None or before.sha256 != after.sha256
        workspace.remember(Checkpoints(known, checkpoints.builds))
        advance(1)
    return done


class _Counts(Struct):
    rows: int = 0
    bad: int = 0
    other: int = 0
    used: int = 0
    first: int | None = None
    last: int | None = None

    def see_days(self, numbers: npt.NDArray[np.int64]) -> None:
        """Widen the days, counted from 1970-01-01, on which there are rows of this tenant and surface."""
        if len(numbers):
            first, last = int(numbers.min()), int(numbers.max())
            self.first = first if self.first is None else min(first, self.first)
            self.last = last if self.last is None else max(last, self.last)


def _spread(
    workspace: Workspace, given: BuildInput, days: set[date], scratch: Path, segment: str | None
) -> _Counts:
    """Read all input and append the rows of each day to a file of its own."""
    source = interaction_source(given.files, given.mapping)
    advance = given.begin("reading interactions", source.total_bytes)
    numbers = np.array(sorted((day - _EPOCH).days for day in days), dtype=np.int64)
    counts = _Counts()
    buffered: list[pa.Table] = []
    with named_errors(scratch), ExitStack() as stack, Quarantine(given.quarantine, given.limit) as quarantine:
        writers: dict[int, pq.ParquetWriter] = {}
        for table in read_rows(source, quarantine, advance):
            rows = _select(table, workspace, segment, numbers, counts)
            counts.used += rows.num_rows
            buffered.append(rows)
            if sum(part.num_rows for part in buffered) >= _BUFFER_ROWS:
                _flush(buffered, writers, scratch, stack)
        _flush(buffered, writers, scratch, stack)
        counts.rows, counts.bad = quarantine.rows, quarantine.bad
        counts.other = counts.rows - counts.bad - counts.used
        quarantine.check()
    return counts


def _select(
    table: pa.Table, workspace: Workspace, segment: str | None, days: npt.NDArray[np.int64], counts: _Counts
) -> pa.Table:
    numbers = _day_numbers(table).to_numpy()
    keep = np.ones(table.num_rows, dtype=np.bool_)
    for name, chosen in (("tenant", workspace.tenant), ("surface", workspace.surface), ("segment", segment)):
        if chosen is not None and name in table.column_names:
            keep = keep & pc.equal(table[name], pa.scalar(chosen)).fill_null(False).to_numpy()
    counts.see_days(numbers[keep])
    rows = table.filter(pa.array(keep & np.isin(numbers, days)))
    columns = {
        name: rows[name].cast(kind) if name in rows.column_names else _nulls(rows.num_rows, kind)
        for name, kind in _COLUMNS.items()
    }
    if segment is not None:
        columns["segment"] = pa.repeat(pa.scalar(segment), rows.num_rows)
    return pa.table(columns)


def _nulls(rows: int, kind: pa.DataType) -> pa.Array[Any]:
    return pa.array(np.full(rows, None), kind)


def _day_numbers(table: pa.Table) -> pa.ChunkedArray[Any]:
    return pc.floor(pc.divide(table["ts"].cast(pa.float64()), float(_DAY_MS))).cast(pa.int64())


def _flush(
    buffered: list[pa.Table], writers: dict[int, pq.ParquetWriter], scratch: Path, stack: ExitStack
) -> None:
    if not buffered:
        return
    table = pa.concat_tables(buffered)
    buffered.clear()
    numbers = _day_numbers(table)
    for number in np.unique(numbers.to_numpy()).tolist():
        if number not in writers:
            path = scratch / f"{number}.parquet"
            writers[number] = stack.enter_context(pq.ParquetWriter(path, table.schema))
        writers[number].write_table(table.filter(pc.equal(numbers, pa.scalar(number, pa.int64()))))


def _raw_file(scratch: Path, day: date) -> Path:
    return scratch / f"{(day - _EPOCH).days}.parquet"


def _write_day(
    workspace: Workspace, day: date, scratch: Path, source: str, *, is_partial: bool
) -> DayCheckpoint:
    """Put a day's rows in order, each once, and replace its file if that differs."""
    raw = _raw_file(scratch, day)
    target = workspace.day_file(day)
    if not raw.exists():
        target.unlink(missing_ok=True)
        return DayCheckpoint(source, "", 0, 0, is_partial)
    table = pq.read_table(raw)
    raw.unlink()
    unique = table.group_by(list(_COLUMNS), use_threads=False).aggregate([])
    unique = unique.sort_by([(name, "ascending") for name in _COLUMNS])
    times = unique["ts"].cast(pa.timestamp("ms", "UTC"))
    unique = unique.set_column(0, pa.field("ts", pa.timestamp("ms", "UTC")), times)
    made = scratch / "day.parquet"
    with named_errors(made):
        pq.write_table(unique, made, compression="zstd")
    digest = file_digest(made)
    if not target.is_file() or file_digest(target) != digest:
        write_atomically(target, read_pieces(made))
    return DayCheckpoint(source, digest, unique.num_rows, table.num_rows - unique.num_rows, is_partial)


def _make(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def canonical_files(workspace: Workspace, first: date, last: date) -> Iterator[Path]:
    """Yield the canonical files of a range of days, in order."""
    for day, checkpoint in workspace.days(first, last).items():
        if checkpoint.rows:
            yield workspace.day_file(day)
