"""Which ranker placed each item: the key ``team`` of an item, which only this analysis reads."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from recsys.contracts.errors import EvaluationError

_SHAPE = "STRUCT(item_id VARCHAR, team VARCHAR)[]"
_JSON = '[{"item_id":"VARCHAR","team":"VARCHAR"}]'

# An item that is listed twice, or logged twice, belongs to a team only when all of its places agree.
_PLACED = """
CREATE TABLE placed AS
WITH told AS (
    SELECT request_id, item.item_id AS item_id, item.team AS team
    FROM (SELECT request_id, unnest(items) AS item FROM teams)
), agreed AS (
    SELECT request_id, item_id,
           CASE WHEN min(team) = max(team) AND count(team) = count(*) THEN min(team) END AS team
    FROM told GROUP BY request_id, item_id
)
SELECT request_id, user_id, surface, team, clicks, conversions
FROM items LEFT JOIN agreed USING (request_id, item_id);
"""


def read_teams(connection: duckdb.DuckDBPyConnection, files: Sequence[str]) -> None:
    """Make the table ``placed``: the items of a join (``open_join``, with names), each with its ``team``.

    ``files`` are the local exposure logs of the same join. ``EvaluationError`` names one that cannot be read.
    """
    connection.execute(f"CREATE TABLE teams (request_id VARCHAR, items {_SHAPE})")
    for file in files:
        try:
            if file.endswith(".parquet"):
                connection.execute(
                    f"INSERT INTO teams SELECT request_id, from_json(to_json(items), '{_JSON}') "  # noqa: S608
                    "FROM read_parquet(?)",
                    [file],
                )
            else:
                connection.execute(
                    "INSERT INTO teams SELECT request_id, items FROM read_json(?, "
                    "format = 'newline_delimited', columns = ?)",
                    [file, {"request_id": "VARCHAR", "items": _SHAPE}],
                )
        except duckdb.Error as error:
            raise EvaluationError(f"exposures: the teams in {file} cannot be read: {error}") from error
    connection.execute(_PLACED)
