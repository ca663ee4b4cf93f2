"""The check of how exposures and outcomes join: findings, and the rates by day, surface and version."""

from __future__ import annotations

from datetime import timedelta

import duckdb
from msgspec import Struct

from recsys.contracts.errors import EvaluationError
from recsys.evaluation.findings import Example, Findings
from recsys.evaluation.inputs import Inputs
from recsys.evaluation.joins import JoinCounts, count_join, open_join

DIMENSIONS = ("day", "surface", "algo_version", "config_version", "manifest_version")
NO_EXPOSURE = "(no exposure)"
NOT_GIVEN = "(not given)"

_SERVED = """
CREATE TABLE served AS
SELECT request_id, day::VARCHAR AS day, clicks + conversions > 0 AS is_engaged, e.user_id, e.context
FROM requests JOIN exposures e USING (request_id);
"""

_CAME = """
CREATE TABLE came AS
SELECT o.request_id, (o.ts AT TIME ZONE 'UTC')::DATE::VARCHAR AS day,
       e.request_id IS NOT NULL AS has_exposure, e.context,
       coalesce(e.user_id <> o.user_id, false) AS is_other_user,
       coalesce(list_contains(list_transform(e.items, lambda x: x.item_id), o.item_id), false) AS is_matched
FROM outcomes o LEFT JOIN exposures e USING (request_id);
"""

_RATES = """
WITH s AS (
    SELECT {served} AS value, count(*) AS exposures, count(*) FILTER (is_engaged) AS engaged
    FROM served GROUP BY 1
), c AS (
    SELECT {came} AS value, count(*) AS outcomes, count(*) FILTER (is_matched) AS matched FROM came GROUP BY 1
)
SELECT value, coalesce(exposures, 0), coalesce(outcomes, 0), coalesce(matched, 0), coalesce(engaged, 0)
FROM s FULL JOIN c USING (value) ORDER BY value;
"""


class SliceRates(Struct, frozen=True):
    """The funnel of one value of a dimension.

    An outcome counts under its own day, and otherwise under what its exposure's context says. Rates are
    shares (0..1), None where nothing could be counted.
    """

    dimension: str
    value: str
    exposures: int
    outcomes: int
    outcomes_matched: int
    requests_with_outcome: int
    join_rate: float | None
    engagement_rate: float | None


class JoinCheck(Struct, frozen=True):
    """The funnel over all, the rates by slice, and how many sound records of each log went into the join."""

    counts: JoinCounts
    slices: list[SliceRates]
    records: dict[str, int]


def check_join(
    inputs: Inputs,
    findings: Findings,
    *,
    min_join_rate: float,
    window: timedelta,
    memory: str,
) -> JoinCheck:
    """Join what is sound in the logs and return how well that went; what is wrong goes to ``findings``.

    Raises EvaluationError when DuckDB cannot make the join within ``memory``.
    """
    with open_join(inputs, window=window, memory=memory, drop_unsound=True) as connection:
        try:
            counts = count_join(connection)
            connection.execute(_SERVED)
            connection.execute(_CAME)
            other_users = _count(connection, "SELECT count(*) FROM came WHERE is_other_user")
            no_exposure = _count(connection, "SELECT count(*) FROM came WHERE NOT has_exposure")
            slices = [row for name in DIMENSIONS for row in _rates_by(connection, name)]
            records = {
                "exposures": _count(connection, "SELECT sum(copies) FROM exposures_distinct"),
                "outcomes": _count(connection, "SELECT sum(copies) FROM outcomes"),
            }
        except duckdb.Error as error:
            raise EvaluationError(f"cannot check the join: {error}") from error
    _add_findings(counts, other_users, no_exposure, findings, min_join_rate)
    return JoinCheck(counts, slices, records)


def _count(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    row = connection.execute(query).fetchone()
    return int(row[0] or 0) if row else 0


def _rates_by(connection: duckdb.DuckDBPyConnection, dimension: str) -> list[SliceRates]:
    if dimension == "day":
        served = came = "day"
    else:
        served = f"coalesce(context['{dimension}'], '{NOT_GIVEN}')"
        came = f"CASE WHEN has_exposure THEN {served} ELSE '{NO_EXPOSURE}' END"
    rows = connection.execute(_RATES.format(served=served, came=came)).fetchall()
    return [
        SliceRates(
            dimension,
            str(value),
            exposures,
            outcomes,
            matched,
            engaged,
            matched / outcomes if outcomes else None,
            engaged / exposures if exposures else None,
        )
        for value, exposures, outcomes, matched, engaged in rows
    ]


def _add_findings(
    counts: JoinCounts, other_users: int, no_exposure: int, findings: Findings, min_join_rate: float
) -> None:
    numbers = [
        ("exposures", "duplicate_record", "", counts.exposure_duplicates, "are copies of another"),
        (
            "exposures",
            "conflicting_request",
            "request_id",
            counts.exposure_conflicts,
            "share a request_id with a different record; the earliest is kept",
        ),
        ("outcomes", "duplicate_record", "", counts.outcome_duplicates, "are copies of another"),
        ("outcomes", "before_exposure", "ts", counts.outcomes_before_exposure, "are before their exposure"),
        ("outcomes", "other_user", "user_id", other_users, "name another user than their exposure"),
        (
            "assignments",
            "request_in_two_arms",
            "variant",
            counts.requests_in_two_arms,
            "requests have two arms",
        ),
    ]
    for log, kind, field, number, reason in numbers:
        if number:
            example = Example("", None, field, f"{number:,} in all files {reason}")
            findings.add(log, kind, example, severity="warning", count=number)
    rate = counts.join_rate
    if rate is not None and rate < min_join_rate:
        missing = counts.outcomes - counts.outcomes_matched
        reason = (
            f"{rate:.2%} of outcomes match an exposure by request and item, below {min_join_rate:.2%}: "
            f"{no_exposure:,} have no exposure of their request, {missing - no_exposure:,} name an item "
            "that was not in its list"
        )
        example = Example("", None, "request_id, item_id", reason)
        findings.add("outcomes", "low_join_rate", example, severity="warning", count=missing)
