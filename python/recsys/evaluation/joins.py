"""Exposures joined with their outcomes and assignments, the ground of every measurement.

An outcome belongs to an exposed item when request and item agree and it happened from the exposure's
time to the end of
the attribution window (default 24 h, both ends included). Records equal in content count once. Of
several exposures of
one request the earliest is kept and the others are counted. The result depends on neither the order of
the input, its
division into files, nor the number of threads.

``items``, one row per exposed item, by ``ts, request_id, rank, item_id``:

    request_id, user_id string · ts timestamp[us, UTC] · surface, segment string or null · item_id string
    · rank int64
    propensity, logging_propensity, target_propensity double or null · clicks, conversions int64 · value
    double (sum
    over its outcomes, 0 when none)

``requests``, one row per request, by ``ts, request_id``:

    request_id, user_id string · ts timestamp[us, UTC] · day date32 (UTC) · surface, segment,
    experiment_id, variant
    string or null · latency_ms double or null · error bool (false when not given) · n_items, clicks,
    conversions int64
    · value double

The arm comes from the assignment of the request, else from the exposure's context. A request with
assignments that
disagree keeps the first by name and is counted in ``requests_in_two_arms``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import duckdb
import pyarrow as pa

from recsys.contracts.errors import EvaluationError
from recsys.evaluation.inputs import Inputs, Role, open_inputs
from recsys.evaluation.joins_sql import (
    ITEMS,
    MATCHED,
    REQUESTS,
    read_assignments,
    read_exposures,
    read_outcomes,
)
from recsys.evaluation.logs import DEFAULT_MEMORY, connect

DEFAULT_WINDOW = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class JoinCounts:
    """The funnel of a join, in records; ``outcomes`` and ``exposures`` are after duplicates were dropped."""

    exposures: int
    exposure_duplicates: int
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


def join_logs(
    exposures: Sequence[str],
    outcomes: Sequence[str],
    assignments: Sequence[str] = (),
    *,
    window: timedelta = DEFAULT_WINDOW,
    memory: str = DEFAULT_MEMORY,
    threads: int | None = None,
) -> JoinedLogs:
    """Return the logs at ``exposures``, ``outcomes`` and ``assignments`` (paths and URLs) as Arrow tables.

    Raises EvaluationError when a file cannot be read or lacks a required field; nothing is skipped in
    silence.
    """
    logs: dict[Role, Sequence[str]] = {"exposures": exposures, "outcomes": outcomes}
    if assignments:
        logs["assignments"] = assignments
    with (
        open_inputs(logs) as inputs,
        open_join(inputs, window=window, memory=memory, threads=threads) as connection,
    ):
        return JoinedLogs(
            items=connection.sql("FROM items ORDER BY ts, request_id, rank, item_id").to_arrow_table(),
            requests=connection.sql("SELECT * FROM requests ORDER BY ts, request_id").to_arrow_table(),
            counts=count_join(connection),
        )


@contextmanager
def open_join(
    inputs: Inputs,
    *,
    window: timedelta = DEFAULT_WINDOW,
    memory: str = DEFAULT_MEMORY,
    threads: int | None = None,
    drop_unsound: bool = False,
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a DuckDB connection with tables ``items`` and ``requests``, for work that must not fit in memory.

    Raises as :func:`join_logs`, and EvaluationError when ``window`` is negative. Only the check of logs sets
    ``drop_unsound``, which leaves out the records and files that cannot be read: it reports them by itself.
    """
    if window < timedelta(0):
        raise EvaluationError("the attribution window is negative")
    with connect(memory, threads) as connection:
        try:
            read_exposures(connection, inputs.paths("exposures"), drop_unsound=drop_unsound)
            read_outcomes(connection, inputs.paths("outcomes"), drop_unsound=drop_unsound)
            read_assignments(connection, inputs.paths("assignments"), drop_unsound=drop_unsound)
            connection.execute(MATCHED, {"window_us": window // timedelta(microseconds=1)})
            connection.execute(ITEMS)
            connection.execute(REQUESTS)
        except duckdb.Error as error:
            raise EvaluationError(f"cannot join the logs: {error}") from error
        yield connection


def count_join(connection: duckdb.DuckDBPyConnection) -> JoinCounts:
    """Return the funnel of the join that ``connection`` (from :func:`open_join`) holds."""
    row = connection.execute(
        """
        SELECT (SELECT count(*) FROM requests),
               (SELECT sum(copies - 1)::BIGINT FROM exposures_distinct),
               (SELECT count(*) FROM exposures_distinct) - (SELECT count(*) FROM requests),
               (SELECT count(*) FROM outcomes),
               (SELECT sum(copies - 1)::BIGINT FROM outcomes),
               (SELECT count(*) FROM matched),
               (SELECT count(*) FROM matched WHERE in_window),
               (SELECT count(*) FROM matched WHERE is_early),
               (SELECT count(*) FROM requests WHERE clicks + conversions > 0),
               (SELECT count(*) FROM arms WHERE n_arms > 1)
        """
    ).fetchone()
    if row is None:
        raise EvaluationError("the join gave no counts")
    return JoinCounts(*(int(value or 0) for value in row))
