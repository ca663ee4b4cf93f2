"""Exposures joined with their outcomes and assignments, the ground of every measurement.

An outcome belongs to an exposed item when request and item agree and it happened from the exposure's time
to the end of the attribution window (default 24 h, both ends included). Records equal in content count
once. Of several exposures of one request the earliest is kept and the others are counted. The result
depends on neither the order of the input, its division into files, nor the number of threads; what does not
fit into memory spills to disk.

``items``, one row per exposed item, by ``ts, request_id, rank, item_id``:

    request_id, user_id string · ts timestamp[us, UTC] · surface, segment string or null · item_id string
    · rank int64
    propensity, logging_propensity, target_propensity double or null · clicks, conversions int64 · value
    double (sum over its outcomes, 0 when none)

``requests``, one row per request, by ``ts, request_id``:

    request_id, user_id string · ts timestamp[us, UTC] · day date32 (UTC) · surface, segment, experiment_id,
    variant string or null · latency_ms double or null · error bool (false when not given) · n_items, clicks,
    conversions int64 · value double

``users``, one row per user and arm, by ``user_id, variant``:

    user_id string · variant string or null · requests, clicks, conversions int64 · value double · errors,
    empty_lists int64 · first_ts timestamp[us, UTC]

All columns but ``request_id`` and ``item_id`` that hold strings are dictionaries of them, which takes a
fraction of the memory. The arm comes from the assignment of the request, else from the exposure's context.
A request with assignments that disagree keeps the first by name and is counted in ``requests_in_two_arms``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import cast

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from recsys.contracts.errors import EvaluationError
from recsys.evaluation.inputs import Inputs, Role, open_inputs
from recsys.evaluation.joins_sql import ARMS, COUNTS, CREDIT, ITEMS, MATCHED, REQUESTS, TOTALS, USERS
from recsys.evaluation.joins_stage import Staged, Strict, stage_logs
from recsys.evaluation.log_scan import Inspector
from recsys.evaluation.logs import DEFAULT_MEMORY, connect

DEFAULT_WINDOW = timedelta(hours=24)
ALWAYS = (datetime(1900, 1, 1, tzinfo=UTC), datetime(9998, 1, 1, tzinfo=UTC))
"""Bounds on time that doubt no record."""

_ORDERS = {"items": "ts, request_id, rank, item_id", "requests": "ts, r1, r2", "users": "user_id, variant"}
_KEYS = ("r1", "r2", "usr")
_BATCH_ROWS = 100_000


@dataclass(frozen=True, slots=True)
class JoinCounts:
    """The funnel of a join, in records; ``outcomes`` and ``exposures`` are after duplicates were dropped.

    ``exposure_retries`` show the items of another exposure to its user in its context, as of a request that
    was sent again; ``exposure_conflicts`` differ in that.
    """

    exposures: int
    exposure_duplicates: int
    exposure_retries: int
    exposure_conflicts: int
    outcomes: int
    outcome_duplicates: int
    outcomes_matched: int
    outcomes_in_window: int
    outcomes_before_exposure: int
    requests_with_outcome: int
    requests_in_two_arms: int

    @property
    def join_rate(self) -> float | None:
        """Share (0..1) of outcomes that match an exposure by request and item; None without outcomes."""
        return self.outcomes_matched / self.outcomes if self.outcomes else None

    @property
    def engagement_rate(self) -> float | None:
        """Share (0..1) of requests with an attributed outcome; None without exposures."""
        return self.requests_with_outcome / self.exposures if self.exposures else None


@dataclass(frozen=True, slots=True)
class JoinedLogs:
    """The joined tables (columns in the module's description) and the funnel."""

    items: pa.Table
    requests: pa.Table
    counts: JoinCounts


@dataclass(frozen=True, slots=True)
class Join:
    """Joined logs in DuckDB, for work that must not fit in memory: tables of
    :mod:`recsys.evaluation.joins_stage`, ``matched``, ``credit``, ``totals`` and ``arms``, and views
    ``requests`` and, with names, ``items`` and ``users``.
    """

    connection: duckdb.DuckDBPyConnection
    staged: dict[Role, Staged]

    def items(self) -> pa.Table:
        """Return one row per exposed item."""
        return self._read("items", None)

    def requests(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Return one row per request; fewer ``columns``, ``request_id`` above all, take less memory."""
        return self._read("requests", columns)

    def users(self) -> pa.Table:
        """Return one row per user and arm."""
        return self._read("users", None)

    def counts(self) -> JoinCounts:
        """Return the funnel."""
        row = [int(number) for number in self.connection.execute(COUNTS).fetchall()[0]]
        exposures, outcomes = self.staged["exposures"], self.staged["outcomes"]
        return JoinCounts(
            row[0],
            exposures.copies,
            exposures.retries,
            exposures.conflicts,
            row[1],
            outcomes.copies,
            *row[2:],
        )

    def _read(self, view: str, columns: Sequence[str] | None) -> pa.Table:
        there = [str(row[0]) for row in self.connection.execute(f"DESCRIBE {view}").fetchall()]
        wanted = [name for name in there if name not in _KEYS] if columns is None else list(columns)
        unknown = [name for name in wanted if name not in there]
        if unknown:
            raise EvaluationError(f"{view} have no column {unknown[0]!r}; there are: {', '.join(there)}")
        order = "ts, request_id" if view == "requests" and "request_id" in wanted else _ORDERS[view]
        try:
            query = f"SELECT {', '.join(wanted)} FROM {view} ORDER BY {order}"  # noqa: S608 - names of columns
            reader = cast("pa.RecordBatchReader", self.connection.sql(query).to_arrow_reader(_BATCH_ROWS))
            batches = [_encode_strings(batch) for batch in reader]
        except duckdb.Error as error:
            raise EvaluationError(f"cannot read the joined {view}: {error}") from error
        none = _encode_strings(pa.RecordBatch.from_pylist([], reader.schema))
        return pa.Table.from_batches(batches, none.schema).unify_dictionaries()


def _encode_strings(batch: pa.RecordBatch) -> pa.RecordBatch:
    columns = [
        pc.dictionary_encode(column)
        if pa.types.is_string(column.type) and name not in ("request_id", "item_id")
        else column
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
    ]
    return pa.record_batch(columns, batch.schema.names)


def join_logs(
    exposures: Sequence[str],
    outcomes: Sequence[str],
    assignments: Sequence[str] = (),
    *,
    window: timedelta = DEFAULT_WINDOW,
    memory: str = DEFAULT_MEMORY,
    threads: int | None = None,
    tenant: str | None = None,
) -> JoinedLogs:
    """Return the logs at ``exposures``, ``outcomes`` and ``assignments`` (paths and URLs) as Arrow tables.

    Only what is of ``tenant``, when it is given. Raises EvaluationError when a file cannot be read or holds a
    line that is no record, and for logs of several tenants; nothing is skipped in silence.
    """
    logs: dict[Role, Sequence[str]] = {"exposures": exposures, "outcomes": outcomes}
    if assignments:
        logs["assignments"] = assignments
    with (
        open_inputs(logs) as inputs,
        open_join(inputs, window=window, memory=memory, threads=threads, tenant=tenant) as join,
    ):
        return JoinedLogs(items=join.items(), requests=join.requests(), counts=join.counts())


@contextmanager
def open_join(
    inputs: Inputs,
    *,
    window: timedelta = DEFAULT_WINDOW,
    memory: str = DEFAULT_MEMORY,
    threads: int | None = None,
    experiment: str | None = None,
    with_names: bool = True,
    inspector: Inspector | None = None,
    bounds: tuple[datetime, datetime] = ALWAYS,
    tenant: str | None = None,
    allow_tenants: bool = False,
) -> Iterator[Join]:
    """Yield the join of ``inputs``.

    ``experiment`` leaves only the arms of that one. Without names there are no ids of requests, users and
    items, only their hashes (``r1, r2, usr``), and no views but ``requests``. ``inspector`` is told of what
    is not sound, and of times outside ``bounds``; by default what is no record is an error. Only what is of
    ``tenant`` is joined; without one, logs of several are refused unless ``allow_tenants``. Raises
    EvaluationError as :func:`join_logs`, and when ``window`` is negative.
    """
    if window < timedelta(0):
        raise EvaluationError("the attribution window is negative")
    with connect(memory, threads) as connection:
        try:
            staged = stage_logs(
                connection,
                inputs,
                inspector or Strict(),
                oldest=bounds[0],
                newest=bounds[1],
                with_names=with_names,
                tenant=tenant,
                allow_tenants=allow_tenants,
            )
            connection.execute(MATCHED, {"window_us": window // timedelta(microseconds=1)})
            connection.execute(CREDIT)
            connection.execute(TOTALS)
            connection.execute(ARMS, {"experiment": experiment})
            literal = "NULL" if experiment is None else "'" + experiment.replace("'", "''") + "'"
            names = "request_id, user_id, " if with_names else ""
            connection.execute(REQUESTS.format(experiment=literal, names=names))
            if with_names:
                connection.execute(ITEMS)
                connection.execute(USERS)
        except duckdb.Error as error:
            first = str(error).partition("\n")[0]
            more = "; give more --memory" if isinstance(error, duckdb.OutOfMemoryException) else ""
            raise EvaluationError(f"cannot join the logs: {first}{more}") from error
        yield Join(connection, staged)
