"""From logs of interleaved lists to the report of who is preferred."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Literal

import duckdb
import msgspec

from recsys.contracts.errors import EvaluationError
from recsys.contracts.reports import Report
from recsys.evaluation.inputs import Role, open_inputs
from recsys.evaluation.interleaving import Preference, preference
from recsys.evaluation.interleaving_teams import read_teams
from recsys.evaluation.joins import DEFAULT_WINDOW, open_join
from recsys.evaluation.logs import DEFAULT_MEMORY
from recsys.evaluation.report.interleaving import InterleavingPayload, SlicePreference
from recsys.evaluation.report.provenance import new_report
from recsys.evaluation.run_experiment import changed_inputs

Credit = Literal["click", "conversion"]

_BALANCE = """
WITH credited AS (
    SELECT user_id, team, {count} AS credit FROM placed WHERE {count} > 0 AND {chosen}
), balances AS (
    SELECT user_id, sum(CASE WHEN team = 'b' THEN credit WHEN team = 'a' THEN -credit END) AS balance
    FROM credited WHERE team IS NOT NULL GROUP BY user_id
)
SELECT count(*) FILTER (balance < 0), count(*) FILTER (balance > 0), count(*) FILTER (balance = 0),
       (SELECT coalesce(sum(credit), 0)::BIGINT FROM credited WHERE team IS NULL)
FROM balances
"""


def run_interleaving(
    logs: Mapping[Role, Sequence[str]],
    *,
    credit: Credit = "click",
    level: float = 0.95,
    window: timedelta = DEFAULT_WINDOW,
    memory: str = DEFAULT_MEMORY,
    tenant: str | None = None,
) -> tuple[Report, InterleavingPayload]:
    """Return the report and its payload. An item's key ``team`` (``a`` or ``b``) says which ranker placed it.

    Raises ``EvaluationError`` when no item has a team, a team is neither, or the logs cannot be joined.
    """
    with (
        open_inputs(logs) as inputs,
        open_join(inputs, window=window, memory=memory, tenant=tenant) as join,
    ):
        joins, connection = join.counts(), join.connection
        read_teams(connection, inputs.paths("exposures"))
        lists, places = _check_teams(connection)
        count = "clicks" if credit == "click" else "conversions"
        overall = _prefer(connection, count, "true", level)
        named = "SELECT DISTINCT surface FROM placed WHERE surface IS NOT NULL ORDER BY surface"
        slices = [
            SlicePreference(
                dimension="surface",
                value=str(surface),
                preference=_prefer(
                    connection, count, "surface = " + "'" + str(surface).replace("'", "''") + "'", level
                ),
            )
            for (surface,) in _all(connection, named)
        ]
        files, changed = inputs.fingerprint(), changed_inputs(inputs)
    payload = InterleavingPayload(
        credit=credit, lists=lists, places=places, preference=overall, slices=slices, joins=joins
    )
    report = new_report(
        "interleaving",
        cases=lists,
        inputs=files,
        settings={
            "credit": credit,
            "level": level,
            "tenant": tenant,
            "window_s": window.total_seconds(),
        },
        warnings=changed,
    )
    return msgspec.structs.replace(report, interleaving=msgspec.Raw(msgspec.json.encode(payload))), payload


def _check_teams(connection: duckdb.DuckDBPyConnection) -> tuple[int, dict[str, int]]:
    """Return how many lists name a team, and how many places each team has."""
    rows = _all(connection, "SELECT team, count(*) FROM placed GROUP BY team ORDER BY team")
    places = {str(team): int(str(count)) for team, count in rows if team is not None}
    unknown = sorted(set(places) - {"a", "b"})
    if unknown:
        raise EvaluationError(f"exposures: team must be 'a' or 'b', not {', '.join(map(repr, unknown[:5]))}")
    if not places:
        raise EvaluationError(
            "exposures: no item says which ranker placed it; log items[].team as 'a' or 'b'"
        )
    found = connection.execute(
        "SELECT count(DISTINCT request_id) FROM placed WHERE team IS NOT NULL"
    ).fetchall()
    return int(str(found[0][0])), {team: places.get(team, 0) for team in ("a", "b")}


def _prefer(connection: duckdb.DuckDBPyConnection, count: str, chosen: str, level: float) -> Preference:
    row = _all(connection, _BALANCE.format(count=count, chosen=chosen))[0]
    wins_a, wins_b, ties, without_team = (int(str(value or 0)) for value in row)
    return preference(wins_a, wins_b, ties, clicks_without_team=without_team, level=level)


def _all(connection: duckdb.DuckDBPyConnection, query: str) -> list[tuple[object, ...]]:
    return [tuple(row) for row in connection.execute(query).fetchall()]
