"""The check of how exposures and outcomes join: findings, and the rates by day, surface and version."""

from __future__ import annotations

import duckdb
from msgspec import Struct

from recsys.contracts.errors import EvaluationError
from recsys.evaluation.findings import Example, Findings
from recsys.evaluation.joins import Join, JoinCounts

DIMENSIONS = ("day", "tenant_id", "surface", "algo_version", "config_version", "manifest_version")
NO_EXPOSURE = "(no exposure)"
NOT_GIVEN = "(not given)"

# Contexts are few, so rates are counted by context and day before a context is looked into.
_FUNNEL = """
CREATE TABLE funnel AS
WITH served AS (
    SELECT ctx, ts, r1, r2, (ts AT TIME ZONE 'UTC')::DATE AS day FROM exposures
), engaged AS (
    SELECT ctx, day, count(*) AS engaged FROM served SEMI JOIN totals USING (r1, r2) GROUP BY ALL
), counted AS (
    SELECT ctx, day, count(*) AS exposures FROM served GROUP BY ALL
), came AS (
    SELECT m.ctx, (o.ts AT TIME ZONE 'UTC')::DATE AS day, count(*) AS outcomes,
           count(*) FILTER (m.place > 0) AS matched, m.outcome IS NOT NULL AS has_exposure
    FROM outcomes o LEFT JOIN matched m ON m.outcome = o.rowid GROUP BY ALL
)
SELECT ctx, day, true AS has_exposure, exposures, 0 AS engaged, 0 AS outcomes, 0 AS matched FROM counted
UNION ALL SELECT ctx, day, true, 0, engaged, 0, 0 FROM engaged
UNION ALL SELECT ctx, day, has_exposure, 0, 0, outcomes, matched FROM came;
"""

_RATES = """
SELECT {value} AS value, sum(exposures)::BIGINT, sum(outcomes)::BIGINT, sum(matched)::BIGINT,
       sum(engaged)::BIGINT
FROM funnel LEFT JOIN contexts USING (ctx) GROUP BY 1 ORDER BY 1;
"""


_BY_SURFACE = """
SELECT coalesce(pairs['tenant_id'], $none), coalesce(pairs['surface'], $none), sum(outcomes)::BIGINT,
       sum(matched)::BIGINT
FROM funnel LEFT JOIN contexts USING (ctx) WHERE has_exposure GROUP BY 1, 2 ORDER BY 1, 2;
"""


class SurfaceJoins(Struct, frozen=True):
    """The outcomes of a surface whose request was exposed there, and how many match an item of it."""

    tenant: str
    surface: str
    outcomes: int
    outcomes_matched: int


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
    """The funnel over all, the rates by slice, and what joins by tenant and surface."""

    counts: JoinCounts
    slices: list[SliceRates]
    surfaces: list[SurfaceJoins]


def check_join(join: Join, findings: Findings, *, min_join_rate: float) -> JoinCheck:
    """Return how well what is sound in the logs joins; what is wrong goes to ``findings``.

    Raises EvaluationError when DuckDB cannot do it within its memory.
    """
    connection = join.connection
    try:
        counts = join.counts()
        connection.execute(_FUNNEL)
        other_users = _count(connection, "SELECT count(*) FROM matched WHERE is_other_user")
        no_exposure = counts.outcomes - _count(connection, "SELECT count(*) FROM matched")
        slices = [row for name in DIMENSIONS for row in _rates_by(connection, name)]
        tenants = {row.value for row in slices if row.dimension == "tenant_id" and row.value != NO_EXPOSURE}
        if len(tenants) < 2:
            slices = [row for row in slices if row.dimension != "tenant_id"]
        by_surface = connection.execute(_BY_SURFACE, {"none": NOT_GIVEN}).fetchall()
    except duckdb.Error as error:
        raise EvaluationError(f"cannot check the join: {error}") from error
    _add_findings(counts, other_users, no_exposure, findings, min_join_rate)
    return JoinCheck(counts, slices, [SurfaceJoins(*row) for row in by_surface])


def _count(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    row = connection.execute(query).fetchone()
    return int(row[0] or 0) if row else 0


def _rates_by(connection: duckdb.DuckDBPyConnection, dimension: str) -> list[SliceRates]:
    value = "day::VARCHAR"
    if dimension != "day":
        given = f"coalesce(pairs['{dimension}'], '{NOT_GIVEN}')"
        value = f"CASE WHEN has_exposure THEN {given} ELSE '{NO_EXPOSURE}' END"
    rows = connection.execute(_RATES.format(value=value)).fetchall()
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
