"""The SQL of the joins: how each kind of log is read to one shape, and how the joined tables are made.

Parquet files have the same columns as JSON Lines; optional ones may be missing, and a context may be a
map or a struct.
"""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from recsys.contracts.errors import EvaluationError

_ITEMS_TYPE = (
    "STRUCT(item_id VARCHAR, rank BIGINT, propensity DOUBLE, "
    "logging_propensity DOUBLE, target_propensity DOUBLE)[]"
)
_ITEMS_JSON = (
    '[{"item_id":"VARCHAR","rank":"BIGINT","propensity":"DOUBLE",'
    '"logging_propensity":"DOUBLE","target_propensity":"DOUBLE"}]'
)
_CONTEXT_TYPE = "MAP(VARCHAR, VARCHAR)"

_EXPOSURE = {
    "request_id": "VARCHAR",
    "user_id": "VARCHAR",
    "ts": "TIMESTAMPTZ",
    "items": _ITEMS_TYPE,
    "context": _CONTEXT_TYPE,
    "latency_ms": "DOUBLE",
    "error": "BOOLEAN",
}
_OUTCOME = {
    "request_id": "VARCHAR",
    "user_id": "VARCHAR",
    "item_id": "VARCHAR",
    "event_type": "VARCHAR",
    "ts": "TIMESTAMPTZ",
    "value": "DOUBLE",
}
_ASSIGNMENT = {
    "experiment_id": "VARCHAR",
    "variant": "VARCHAR",
    "request_id": "VARCHAR",
    "user_id": "VARCHAR",
    "ts": "TIMESTAMPTZ",
}
_OPTIONAL = frozenset({"context", "latency_ms", "error", "value"})

# The earliest exposure of a request is kept; its whole content breaks ties, so that order of input does
# not matter. Only the few requests with several are sorted.
_EXPOSURES = """
CREATE TABLE exposures_distinct AS
SELECT request_id, user_id, ts, items, context, latency_ms, error, count(*) AS copies
FROM (SELECT * REPLACE (map_from_entries(list_sort(map_entries(context))) AS context) FROM exposures_read)
GROUP BY ALL;
CREATE TABLE exposures AS
WITH several AS (SELECT request_id FROM exposures_distinct GROUP BY request_id HAVING count(*) > 1)
SELECT * EXCLUDE (copies) FROM exposures_distinct ANTI JOIN several USING (request_id)
UNION ALL
SELECT * EXCLUDE (copies) FROM exposures_distinct SEMI JOIN several USING (request_id)
QUALIFY row_number() OVER (
    PARTITION BY request_id ORDER BY ts, user_id, to_json(items)::VARCHAR, to_json(context)::VARCHAR,
    latency_ms, error
) = 1;
"""

_OUTCOMES = """
CREATE TABLE outcomes AS
SELECT request_id, user_id, item_id, event_type, ts, value, count(*) AS copies FROM outcomes_read GROUP
BY ALL;
"""

_ARMS = """
CREATE TABLE arms AS
SELECT request_id, arg_min(experiment_id, (experiment_id, variant)) AS experiment_id,
       arg_min(variant, (experiment_id, variant)) AS variant,
       count(DISTINCT (experiment_id, variant)) AS n_arms
FROM assignments_read GROUP BY request_id;
"""

MATCHED = """
CREATE TABLE matched AS
SELECT o.request_id, o.item_id, o.event_type, o.value,
       o.ts < e.ts AS is_early,
       o.ts >= e.ts AND o.ts <= e.ts + to_microseconds($window_us) AS in_window
FROM outcomes o JOIN exposures e USING (request_id)
WHERE list_contains(list_transform(e.items, lambda x: x.item_id), o.item_id);
"""

# An item listed twice gets its outcomes at its best rank only, so that no outcome counts twice. Values
# are added as
# decimals: a sum of floats would depend on the order in which threads deliver them.
ITEMS = """
CREATE TABLE items AS
WITH listed AS (
    SELECT request_id, user_id, ts, context['surface'] AS surface, context['segment'] AS segment,
    unnest(items) AS item
    FROM exposures
), flat AS (
    SELECT request_id, user_id, ts, surface, segment, item.item_id AS item_id, item.rank AS rank,
           item.propensity AS propensity, item.logging_propensity AS logging_propensity,
           item.target_propensity AS target_propensity,
           row_number() OVER (PARTITION BY request_id, item.item_id ORDER BY item.rank, item) AS occurrence
    FROM listed
), credit AS (
    SELECT request_id, item_id, 1 AS occurrence,
           count(*) FILTER (event_type = 'click') AS clicks,
           count(*) FILTER (event_type = 'conversion') AS conversions,
           sum(value::DECIMAL(38, 9))::DOUBLE AS value
    FROM matched WHERE in_window GROUP BY request_id, item_id
)
SELECT flat.* EXCLUDE (occurrence), coalesce(clicks, 0) AS clicks, coalesce(conversions, 0) AS conversions,
       coalesce(value, 0.0) AS value
FROM flat LEFT JOIN credit USING (request_id, item_id, occurrence);
"""

REQUESTS = """
CREATE TABLE requests AS
WITH totals AS (
    SELECT request_id, sum(clicks)::BIGINT AS clicks, sum(conversions)::BIGINT AS conversions,
           sum(value::DECIMAL(38, 9))::DOUBLE AS value
    FROM items GROUP BY request_id
)
SELECT e.request_id, e.user_id, e.ts, (e.ts AT TIME ZONE 'UTC')::DATE AS day,
       e.context['surface'] AS surface, e.context['segment'] AS segment,
       coalesce(a.experiment_id, e.context['experiment_id']) AS experiment_id,
       coalesce(a.variant, e.context['experiment_variant']) AS variant,
       e.latency_ms, coalesce(e.error, false) AS error, len(e.items)::BIGINT AS n_items,
       coalesce(t.clicks, 0) AS clicks, coalesce(t.conversions, 0) AS conversions, coalesce(t.value, 0.0)
       AS value
FROM exposures e LEFT JOIN totals t USING (request_id) LEFT JOIN arms a USING (request_id);
"""


def read_exposures(
    connection: duckdb.DuckDBPyConnection, files: Sequence[str], *, drop_unsound: bool = False
) -> None:
    """Make tables ``exposures_distinct`` and ``exposures`` (one row per request) of ``files``.

    Raises EvaluationError for a file that cannot be read and a record without a required field, unless
    ``drop_unsound`` says to leave such out.
    """
    _read(connection, "exposures", files, _EXPOSURE, drop_unsound=drop_unsound)
    unsound = "len(list_filter(items, lambda x: x.item_id IS NULL OR x.rank IS NULL)) > 0"
    if drop_unsound:
        connection.execute(f"DELETE FROM exposures_read WHERE {unsound}")  # noqa: S608
    bad = connection.execute(
        f"SELECT request_id FROM exposures_read WHERE {unsound} ORDER BY ALL LIMIT 1"  # noqa: S608
    ).fetchone()
    if bad is not None:
        raise EvaluationError(f"exposures: an item of request {bad[0]} has no sound item_id or rank")
    connection.execute(_EXPOSURES)
    connection.execute("DROP TABLE exposures_read")


def read_outcomes(
    connection: duckdb.DuckDBPyConnection, files: Sequence[str], *, drop_unsound: bool = False
) -> None:
    """Make table ``outcomes`` of ``files``.

    Raises as :func:`read_exposures`, and for a value that is not a finite number.
    """
    _read(connection, "outcomes", files, _OUTCOME, drop_unsound=drop_unsound)
    if drop_unsound:
        connection.execute("DELETE FROM outcomes_read WHERE NOT isfinite(value)")
    bad = connection.execute(
        "SELECT request_id, item_id FROM outcomes_read WHERE NOT isfinite(value) ORDER BY ALL LIMIT 1"
    ).fetchone()
    if bad is not None:
        raise EvaluationError(f"outcomes: value of request {bad[0]}, item {bad[1]} is not a finite number")
    connection.execute(_OUTCOMES)
    connection.execute("DROP TABLE outcomes_read")


def read_assignments(
    connection: duckdb.DuckDBPyConnection, files: Sequence[str], *, drop_unsound: bool = False
) -> None:
    """Make table ``arms`` (one row per request) of ``files``, which may be none; raises as the others."""
    _read(connection, "assignments", files, _ASSIGNMENT, drop_unsound=drop_unsound)
    connection.execute(_ARMS)
    connection.execute("DROP TABLE assignments_read")


def _read(
    connection: duckdb.DuckDBPyConnection,
    role: str,
    files: Sequence[str],
    columns: dict[str, str],
    *,
    drop_unsound: bool,
) -> None:
    table = f"{role}_read"
    declared = ", ".join(f"{name} {kind}" for name, kind in columns.items())
    connection.execute(f"CREATE TABLE {table} ({declared})")
    for file in files:
        try:
            if file.endswith(".parquet"):
                _insert_parquet(connection, table, file, columns)
            else:
                shape = {name: "JSON" if name == "items" else kind for name, kind in columns.items()}
                chosen = ", ".join(
                    f"from_json(items, '{_ITEMS_JSON}')" if name == "items" else name for name in columns
                )
                connection.execute(
                    f"INSERT INTO {table} SELECT {chosen} "  # noqa: S608
                    "FROM read_json(?, format = 'newline_delimited', columns = ?, ignore_errors = ?)",
                    [file, shape, drop_unsound],
                )
        except duckdb.Error as error:
            if drop_unsound:
                continue
            raise EvaluationError(f"{role}: cannot read {file}: {error}; see recsys eval validate") from error
    for name in columns:
        if name in _OPTIONAL:
            continue
        if drop_unsound:
            connection.execute(f"DELETE FROM {table} WHERE {name} IS NULL")  # noqa: S608
        row = connection.execute(f"SELECT count(*) FROM {table} WHERE {name} IS NULL").fetchone()  # noqa: S608
        if row is not None and row[0]:
            raise EvaluationError(f"{role}: {row[0]} records have no {name}; see recsys eval validate")


def _insert_parquet(
    connection: duckdb.DuckDBPyConnection, table: str, file: str, columns: dict[str, str]
) -> None:
    described = connection.execute("DESCRIBE SELECT * FROM read_parquet(?)", [file]).fetchall()
    kinds = {str(row[0]): str(row[1]) for row in described}
    chosen: list[str] = []
    for name, kind in columns.items():
        if name not in kinds:
            chosen.append(f"NULL::{kind}")
        elif name == "items":
            chosen.append(f"from_json(to_json(items), '{_ITEMS_JSON}')")
        elif name == "context" and not kinds[name].startswith("MAP"):
            chosen.append(f"to_json(context)::{kind}")
        else:
            chosen.append(f"{name}::{kind}")
    connection.execute(f"INSERT INTO {table} SELECT {', '.join(chosen)} FROM read_parquet(?)", [file])  # noqa: S608
