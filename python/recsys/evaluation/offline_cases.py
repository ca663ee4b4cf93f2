"""The cases of an offline evaluation: requests with relevant items, and each system's lists for them.

A case is an exposed request with at least one relevant outcome in the attribution window; what is relevant
need not have been in the logged list. Everything is told by hash, in columns; ``n`` numbers the cases by
time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, cast

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys.evaluation.ranking_metrics.judged import Floats, Ints

Relevance = Literal["click", "conversion", "any"]
GRADES = {"click": 1.0, "conversion": 2.0}
"""Grades of the graded metrics; an item with both counts as a conversion."""

_ONLY: dict[Relevance, str] = {
    "click": "AND NOT is_conversion",
    "conversion": "AND is_conversion",
    "any": "",
}

_RELEVANT = f"""
CREATE TABLE relevant AS
SELECT r1, r2, item,
       max(CASE WHEN is_conversion THEN {GRADES["conversion"]} ELSE {GRADES["click"]} END)::DOUBLE AS grade
FROM matched WHERE in_window {{only}} GROUP BY r1, r2, item;
"""  # noqa: S608 - of constants

_CASES = """
CREATE TABLE cases AS
SELECT row_number() OVER (ORDER BY ts, r1, r2) - 1 AS n, r1, r2, usr, ctx
FROM exposures SEMI JOIN relevant USING (r1, r2)
WHERE ($since IS NULL OR ts >= $since) AND ($until IS NULL OR ts < $until);
"""

_JUDGED = "SELECT n, grade FROM cases JOIN relevant USING (r1, r2) ORDER BY n, grade DESC"

_LISTS = """
CREATE TABLE {table} AS
SELECT n, l.items IS NOT NULL AS is_given, coalesce(l.items, []) AS items, c.r1, c.r2
FROM cases c LEFT JOIN {source} l USING (r1, r2);
"""

_HITS = """
SELECT n, list_position(items, item) AS place, grade
FROM {table} JOIN relevant USING (r1, r2) WHERE list_contains(items, item) ORDER BY n, place;
"""


@dataclass(frozen=True, slots=True)
class Cases:
    """``n_requests`` exposed in the time span, of which ``len(users)`` are cases; ``users`` has codes from
    0 in order of hash; ``relevant`` is case and grade of each relevant item.
    """

    n_requests: int
    users: Ints
    relevant: tuple[Ints, Floats]


@dataclass(frozen=True, slots=True)
class CaseLists:
    """One system's lists, by case: lengths, hits (case, place from 1, grade), the items down to a depth
    (values and offsets, as hashes), and for how many cases it has none.
    """

    lengths: Ints
    hits: tuple[Ints, Ints, Floats]
    items: np.ndarray[tuple[int], np.dtype[np.uint64]]
    offsets: Ints
    missing: int


def find_cases(
    connection: duckdb.DuckDBPyConnection,
    relevance: Relevance,
    since: datetime | None,
    until: datetime | None,
) -> Cases:
    """Make tables ``relevant`` and ``cases`` of a join and return them; the span is ``since <= ts <
    until``.
    """
    span = {"since": since, "until": until}
    connection.execute(_RELEVANT.format(only=_ONLY[relevance]))
    connection.execute(_CASES, span)
    n_requests = connection.execute(
        "SELECT count(*) FROM exposures "
        "WHERE ($since IS NULL OR ts >= $since) AND ($until IS NULL OR ts < $until)",
        span,
    ).fetchall()[0][0]
    users = _column(connection.sql("SELECT usr FROM cases ORDER BY n").to_arrow_table(), "usr")
    judged = connection.sql(_JUDGED).to_arrow_table()
    return Cases(
        n_requests=int(n_requests),
        users=np.unique(users, return_inverse=True)[1].astype(np.int64),
        relevant=(_column(judged, "n").astype(np.int64), _column(judged, "grade").astype(np.float64)),
    )


def lists_of(connection: duckdb.DuckDBPyConnection, source: str, table: str, depth: int) -> CaseLists:
    """Make ``table`` of the lists that ``source`` (a table with ``r1, r2, items``) has for the cases, and
    return them.
    """
    connection.execute(_LISTS.format(table=table, source=source))
    hits = connection.sql(_HITS.format(table=table)).to_arrow_table()
    lists = connection.sql(
        f"SELECT items[1:{depth}] AS items, len(items) AS length, is_given FROM {table} ORDER BY n"  # noqa: S608
    ).to_arrow_table()
    column = lists["items"].combine_chunks()
    items = pc.list_flatten(column).to_numpy(zero_copy_only=False).astype(np.uint64)
    lengths = np.asarray(pc.list_value_length(column).to_numpy(zero_copy_only=False), dtype=np.int64)
    return CaseLists(
        lengths=_column(lists, "length").astype(np.int64),
        hits=(
            _column(hits, "n").astype(np.int64),
            _column(hits, "place").astype(np.int64),
            _column(hits, "grade").astype(np.float64),
        ),
        items=items,
        offsets=np.concatenate([[0], lengths.cumsum()]).astype(np.int64),
        missing=int(np.count_nonzero(~_column(lists, "is_given").astype(bool))),
    )


def slice_values(connection: duckdb.DuckDBPyConnection, dimensions: Sequence[str]) -> pa.Table:
    """Return the value of each context key in ``dimensions`` by case, null where a context has none."""
    columns = [f"pairs[{_quote(name)}] AS d{place}" for place, name in enumerate(dimensions)]
    query = f"SELECT {', '.join(columns)} FROM cases LEFT JOIN contexts USING (ctx) ORDER BY n"  # noqa: S608
    return cast("pa.Table", connection.sql(query).to_arrow_table())


def known_dimensions(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Return the context keys of the cases, sorted."""
    rows = connection.execute(
        "SELECT DISTINCT unnest(map_keys(pairs)) AS key "
        "FROM contexts SEMI JOIN cases USING (ctx) ORDER BY key"
    ).fetchall()
    return [str(row[0]) for row in rows]


def item_counts(
    connection: duckdb.DuckDBPyConnection, before: datetime | None
) -> tuple[np.ndarray[tuple[int], np.dtype[np.uint64]], Ints]:
    """Return the hashes of the items with outcomes, sorted, and how many each has; those before a time
    only, if given.
    """
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE item_counts AS SELECT item, count(*) AS n FROM outcomes "
        "WHERE $before IS NULL OR ts < $before GROUP BY item",
        {"before": before},
    )
    counted = connection.sql("SELECT item, n FROM item_counts ORDER BY item").to_arrow_table()
    return _column(counted, "item").astype(np.uint64), _column(counted, "n").astype(np.int64)


def _quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _column(table: pa.Table, name: str) -> np.ndarray[tuple[int], np.dtype[np.generic]]:
    return np.asarray(table[name].to_numpy())
