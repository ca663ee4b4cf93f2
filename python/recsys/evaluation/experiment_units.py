"""From requests to the randomised unit: arm and contamination of each user, and sums by user and day.

DuckDB groups; what comes out are arrays with one entry per user and day, so the analysis does not grow with
the requests. Sums are taken as decimals: a sum of floats would depend on the order in which threads add.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from recsys.contracts.errors import EvaluationError
from recsys.evaluation.plan import TERMS, Plan
from recsys.evaluation.stats.estimate import FloatArray, IntArray

_UNITS = """
CREATE OR REPLACE TABLE units AS
SELECT *, row_number() OVER (ORDER BY user_id) - 1 AS code
FROM (SELECT user_id, min(variant) AS arm, min(variant) <> max(variant) AS is_contaminated
      FROM chosen WHERE is_in_period AND variant IS NOT NULL GROUP BY user_id)
WHERE NOT is_contaminated;
CREATE OR REPLACE TABLE days AS
SELECT day, row_number() OVER (ORDER BY day) - 1 AS spot
FROM (SELECT DISTINCT day FROM chosen WHERE is_in_period AND variant IS NOT NULL AND day IS NOT NULL);
"""

_COUNTS = """
SELECT count(*) FILTER (is_in_period), count(*) FILTER (is_in_period AND variant IS NULL),
       count(*) FILTER (user_id IS NULL),
       (SELECT count(*) FROM (SELECT user_id FROM chosen WHERE is_in_period AND variant IS NOT NULL
        GROUP BY user_id HAVING min(variant) <> max(variant)))
FROM chosen
"""


_MAX_TERM = "1e20"
"""What a request may add to a sum, which is exact, and holds a billion of these."""


@dataclass(frozen=True, slots=True)
class Units:
    """Users who stayed in one arm; ``arm_of_user`` (shape ``(n_users,)``) indexes ``arms``.

    ``user``, ``day`` and each array of ``sums`` have one entry per user and day, ordered by day; ``before``
    has each user's sums over the pre-period, and is empty without one.
    """

    arms: list[str]
    arm_of_user: IntArray
    days: list[str]
    user: IntArray
    day: IntArray
    sums: dict[str, FloatArray]
    before: dict[str, FloatArray]
    requests: int
    requests_without_arm: int
    contaminated_users: int

    def users_per_arm(self) -> dict[str, int]:
        """Return the number of users in each arm that has any."""
        counts = np.bincount(self.arm_of_user, minlength=len(self.arms))
        return {arm: int(count) for arm, count in zip(self.arms, counts, strict=True) if count}

    def is_in(self, arm: str) -> npt.NDArray[np.bool_]:
        """Return a mask over users; ``EvaluationError`` when nobody is in ``arm``."""
        if arm not in self.arms:
            raise EvaluationError(
                f"no request is in arm {arm!r}; there are: {', '.join(self.arms) or 'none'}"
            )
        return np.asarray(self.arm_of_user == self.arms.index(arm), dtype=np.bool_)

    def totals(self, term: str, cells: slice = slice(None)) -> FloatArray:
        """Return the sum of ``term`` for every user, shape ``(n_users,)``, over all cells or some of them."""
        return np.bincount(
            self.user[cells], weights=self.sums[term][cells], minlength=self.arm_of_user.size
        ).astype(np.float64)

    def cells_of_day(self, spot: int) -> slice:
        """Return the cells of one day, which lie together."""
        return slice(*(int(edge) for edge in np.searchsorted(self.day, (spot, spot + 1))))


def choose_requests(connection: duckdb.DuckDBPyConnection, source: str, plan: Plan) -> None:
    """Make the table ``chosen`` of ``source``: requests of the experiment with ``is_in_period``.

    ``source`` needs ``user_id`` (or ``usr``, its hash), ``variant``, and ``ts`` when the plan has a period.
    Requests of other experiments have no arm here. ``EvaluationError`` when there are several and the plan
    names none.
    """
    columns = columns_of(connection, source)
    is_hashed = "user_id" not in columns and "usr" in columns
    columns += ["user_id"] if is_hashed else []
    for name in ("user_id", "variant", *(["ts"] if plan.start or plan.end else [])):
        if name not in columns:
            raise EvaluationError(f"column {name!r} is missing; there are: {', '.join(columns)}")
    day = "day" if "day" in columns else "(ts AT TIME ZONE 'UTC')::DATE" if "ts" in columns else "NULL"
    variant = "variant::VARCHAR"
    if "experiment_id" in columns:
        if plan.experiment_id is not None:
            _check_experiment_is_there(connection, source, plan.experiment_id)
            variant = f"CASE WHEN experiment_id = {_text(plan.experiment_id)} THEN variant::VARCHAR END"
        else:
            _check_one_experiment(connection, source)
    period = " AND ".join(
        f"ts {sign} {_text(moment.isoformat())}::TIMESTAMPTZ"
        for sign, moment in ((">=", plan.start), ("<", plan.end))
        if moment is not None
    )
    connection.execute(
        f"CREATE OR REPLACE TABLE chosen AS SELECT * REPLACE ({variant} AS variant), "  # noqa: S608
        f"{'usr AS user_id, ' if is_hashed else ''}{_before(plan.start)} AS is_before, "
        f"{period or 'true'} AS is_in_period"
        f"{'' if 'day' in columns else f', {day} AS day'} FROM {source}"
    )
    connection.execute(_UNITS)


def gather_units(connection: duckdb.DuckDBPyConnection, terms: Iterable[str], plan: Plan) -> Units:
    """Return the units of the table ``chosen`` with sums of ``terms`` (names of ``TERMS``, or columns).

    ``EvaluationError`` names a term that is missing, not a number, NaN or infinite, and an empty table.
    """
    wanted = sorted(set(terms))
    expressions = {term: check_term(connection, term) for term in wanted}
    requests, without_arm, without_user, contaminated = connection.execute(_COUNTS).fetchall()[0]
    if without_user:
        raise EvaluationError(f"column 'user_id': {without_user} values are missing")
    if requests == 0:
        raise EvaluationError("there are no requests to analyse")
    users = connection.sql("SELECT arm FROM units ORDER BY code").to_arrow_table()["arm"].combine_chunks()
    arms = sorted(str(arm) for arm in users.unique().to_pylist())
    sums = ", ".join(f"{_summed(sql)} AS s{number}" for number, sql in enumerate(expressions.values()))
    cells = connection.sql(
        f"SELECT code, coalesce(spot, 0) AS spot, {sums} FROM chosen JOIN units USING (user_id) "  # noqa: S608
        "LEFT JOIN days USING (day) WHERE is_in_period AND variant IS NOT NULL "
        "GROUP BY ALL ORDER BY spot, code"
    ).to_arrow_table()
    before: dict[str, FloatArray] = {}
    if plan.start is not None:
        # Filtered sums, so that a user without a pre-period has none of it, not even a request.
        past = ", ".join(
            f"coalesce(sum(({sql})::DECIMAL(38, 9)) FILTER (is_before), 0)::DOUBLE AS s{number}"
            for number, sql in enumerate(expressions.values())
        )
        earlier = connection.sql(
            f"SELECT code, {past} FROM units LEFT JOIN chosen USING (user_id) GROUP BY code ORDER BY code"  # noqa: S608
        ).to_arrow_table()
        before = {term: _floats(earlier, f"s{number}") for number, term in enumerate(wanted)}
    names = connection.execute("SELECT day::VARCHAR FROM days ORDER BY spot").fetchall()
    index = pa.array(arms, pa.string())
    return Units(
        arms=arms,
        arm_of_user=pa.compute.index_in(users, value_set=index)
        .to_numpy(zero_copy_only=False)
        .astype(np.int64),
        days=[str(name) for (name,) in names],
        user=cells["code"].to_numpy().astype(np.int64),
        day=cells["spot"].to_numpy().astype(np.int64),
        sums={term: _floats(cells, f"s{number}") for number, term in enumerate(wanted)},
        before=before,
        requests=int(requests),
        requests_without_arm=int(without_arm),
        contaminated_users=int(contaminated),
    )


def columns_of(connection: duckdb.DuckDBPyConnection, table: str) -> list[str]:
    """Return the names of the columns of a table or view."""
    return [str(row[0]) for row in connection.execute(f"DESCRIBE {table}").fetchall()]


def check_term(connection: duckdb.DuckDBPyConnection, term: str) -> str:
    """Return the SQL of a term over ``chosen``, checked to be a finite number in every request."""
    columns = columns_of(connection, "chosen")
    sql = quoted(term) if term in columns and term not in TERMS else TERMS.get(term, quoted(term))
    try:
        found = connection.execute(
            f"SELECT count(*) FILTER (v IS NULL), count(*) FILTER (NOT isfinite(v)), "  # noqa: S608
            f"count(*) FILTER (abs(v) > {_MAX_TERM}) FROM (SELECT ({sql})::DOUBLE AS v FROM chosen)"
        ).fetchall()
    except duckdb.BinderException as error:
        raise EvaluationError(f"column {term!r} is missing; there are: {', '.join(columns)}") from error
    except duckdb.Error as error:
        raise EvaluationError(f"column {term!r} does not hold numbers: {error}") from error
    missing, defects, huge = found[0]
    if missing:
        raise EvaluationError(f"column {term!r}: {missing} values are missing")
    if defects:
        raise EvaluationError(f"column {term!r}: {defects} values are NaN or infinite")
    if huge:
        raise EvaluationError(
            f"column {term!r}: {huge} values are beyond {_MAX_TERM}: correct or remove them"
        )
    return sql


def quoted(name: str) -> str:
    """Return a column's name as SQL."""
    return '"' + name.replace('"', '""') + '"'


def _check_one_experiment(connection: duckdb.DuckDBPyConnection, source: str) -> None:
    found = connection.execute(
        f"SELECT DISTINCT experiment_id FROM {source} WHERE experiment_id IS NOT NULL ORDER BY 1 LIMIT 10"  # noqa: S608
    ).fetchall()
    if len(found) > 1:
        names: Sequence[str] = [str(name) for (name,) in found]
        raise EvaluationError(
            f"the logs hold several experiments: {', '.join(names)}; say which, by --experiment or the "
            "experiment_id of a plan"
        )


_NAMES_OF = {
    "contexts": "SELECT DISTINCT pairs['experiment_id'] FROM contexts SEMI JOIN exposures USING (ctx)",
    "assignments": "SELECT DISTINCT experiment_id FROM assignments",
}


def _check_experiment_is_there(connection: duckdb.DuckDBPyConnection, source: str, wanted: str) -> None:
    found = f"SELECT DISTINCT experiment_id FROM {source} WHERE experiment_id IS NOT NULL"  # noqa: S608
    names = {str(name) for (name,) in connection.execute(found).fetchall()}
    if wanted in names:
        return
    # A join for one experiment has the arms of no other, but still what the logs say.
    tables = {
        str(name) for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()
    }
    for table, query in _NAMES_OF.items():
        if table in tables:
            names |= {str(name) for (name,) in connection.execute(query).fetchall() if name is not None}
    have = f"they have: {', '.join(sorted(names - {wanted})[:10])}" if names - {wanted} else "they name none"
    raise EvaluationError(f"no experiment {wanted!r} in the logs; {have}")


def _before(start: datetime | None) -> str:
    return "false" if start is None else f"ts < {_text(start.isoformat())}::TIMESTAMPTZ"


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _summed(sql: str) -> str:
    return f"coalesce(sum(({sql})::DECIMAL(38, 9)), 0)::DOUBLE"


def _floats(table: pa.Table, name: str) -> FloatArray:
    return np.asarray(table[name].to_numpy(), dtype=np.float64)
