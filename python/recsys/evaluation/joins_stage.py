"""The first step of a join: every log read once, into a table of hashes, numbers and, when asked for, names.

Tables ``exposures``, ``outcomes``, ``assignments`` and ``ranklists`` have the columns of
:mod:`recsys.evaluation.log_rows`, without duplicates and with one exposure, and one ranked list, per request;
``contexts`` has ``ctx`` and ``pairs``. They lie in a file, so that memory bounds the work and not the logs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

import duckdb
import pyarrow as pa

from recsys.contracts.errors import EvaluationError
from recsys.evaluation.findings import Defect
from recsys.evaluation.inputs import Inputs, Role, Source
from recsys.evaluation.joins_tenants import keep_tenant
from recsys.evaluation.log_rows import CONTEXTS, schema_of
from recsys.evaluation.log_scan import Contexts, Inspector, Scan
from recsys.evaluation.validate_records import Record

ROLES: tuple[Role, ...] = ("exposures", "outcomes", "assignments", "ranklists")
_CONTEXTS_PER_INSERT = 20_000

# Of several records of one request the earliest stays; the content breaks ties, so the order of input does
# not matter. Only the few requests with several are sorted.
_DROP_LATER = """
DELETE FROM {table} WHERE rowid IN (
    SELECT row_id FROM (
        SELECT rowid AS row_id, row_number() OVER (PARTITION BY r1, r2 ORDER BY ts, c1, c2) AS place
        FROM {table} SEMI JOIN several_{table} USING (r1, r2)
    ) WHERE place > 1
);
"""
_SEVERAL = """
CREATE TABLE several_{table} AS
SELECT r1, r2 FROM {table} GROUP BY r1, r2 HAVING count(*) > 1;
"""
# What tells a retry, which differs in time and latency, from a conflict; a context leaves out its clock.
_SERVED = {"exposures": "(usr, ctx, error, items)", "ranklists": "(c1, c2)"}
_COUNT_SEVERAL = """
SELECT coalesce(sum(copies - 1), 0)::BIGINT, coalesce(sum(writings - 1), 0)::BIGINT,
       (count(*) - count(DISTINCT (r1, r2)))::BIGINT
FROM (
    SELECT r1, r2, sum(copies) - count(*) + 1 AS copies, count(*) AS writings FROM (
        SELECT r1, r2, c1, c2, {served} AS served, count(*) AS copies
        FROM {table} SEMI JOIN several_{table} USING (r1, r2) GROUP BY ALL
    ) GROUP BY r1, r2, served
);
"""
_DROP_COPIES = """
DELETE FROM {table} WHERE rowid IN (
    SELECT row_id FROM (
        SELECT rowid AS row_id, row_number() OVER (PARTITION BY c1, c2) AS place
        FROM {table} SEMI JOIN (
            SELECT c1, c2 FROM {table} GROUP BY c1, c2 HAVING count(*) > 1
        ) USING (c1, c2)
    ) WHERE place > 1
);
"""


@dataclass(frozen=True, slots=True)
class Staged:
    """What was read of one log: its lines, its sound records, how many of these were copies of another, and
    how many shared a request with an earlier one: ``retries`` have its user, context, error and items in
    order, as of a request that was sent again, and ``conflicts`` differ in one of these.
    """

    lines: int = 0
    records: int = 0
    copies: int = 0
    retries: int = 0
    conflicts: int = 0


class Strict:
    """The inspector of measurements: a line that is no record is an error, and nothing is skipped."""

    def look_at(self, source: Source, number: int, record: Record) -> None:
        """Accept what has the right shape; whether logs make sense is for the check of logs to say."""

    def look_into(self, source: Source, number: int, defect: Defect) -> None:
        """Raise EvaluationError with file, line, field and reason."""
        field = f" {defect.field}:" if defect.field else ""
        raise EvaluationError(
            f"{source.role}: {source.name}:{number}:{field} {defect.reason} ({defect.kind}); see recsys eval "
            "validate"
        )


def stage_logs(
    connection: duckdb.DuckDBPyConnection,
    inputs: Inputs,
    inspector: Inspector,
    *,
    oldest: datetime,
    newest: datetime,
    with_names: bool,
    tenant: str | None = None,
    allow_tenants: bool = False,
) -> dict[Role, Staged]:
    """Fill the tables of every role, empty ones for those not given, and return what was read of each.

    Only records of ``tenant`` stay; without one, logs of several are refused unless ``allow_tenants``
    (:mod:`recsys.evaluation.joins_tenants`). Raises what ``inspector`` raises, and EvaluationError for a file
    that cannot be opened.
    """
    with connection.cursor() as own:
        own.execute("CREATE TABLE contexts (ctx UBIGINT, pairs MAP(VARCHAR, VARCHAR))")
        writer = _ContextWriter(own)
        scan = Scan(inspector, writer.add, oldest, newest, with_names)

        def keep(role: Role) -> None:
            writer.flush()
            keep_tenant(connection, role, tenant, allow_several=allow_tenants)

        staged = {role: stage_log(connection, scan, role, inputs.of(role), role, keep) for role in ROLES}
    # Exposures and ranked lists may share a context.
    connection.execute(
        "CREATE OR REPLACE TABLE contexts AS SELECT ctx, any_value(pairs) AS pairs FROM contexts GROUP BY ctx"
    )
    return staged


def stage_log(
    connection: duckdb.DuckDBPyConnection,
    scan: Scan,
    role: Role,
    sources: list[Source],
    table: str,
    choose: Callable[[Role], None] | None = None,
) -> Staged:
    """Make ``table`` of the sources of one log, without duplicates, and return what was read; ``choose``
    drops from it what is not wanted, before duplicates are looked for.
    """
    lines = 0
    raised: list[BaseException] = []

    def count(amount: int) -> None:
        nonlocal lines
        lines += amount

    def read() -> Iterator[pa.RecordBatch]:
        # DuckDB would tell of an exception in words of its own.
        try:
            yield from scan.read(role, sources, count)
        except BaseException as error:
            raised.append(error)
            raise

    schema = schema_of(role, with_names=scan.with_names)
    rows = pa.RecordBatchReader.from_batches(schema, read())  # noqa: F841 - DuckDB finds it by its name
    try:
        connection.execute(f"CREATE TABLE {table} AS FROM rows")
    except duckdb.Error:
        if raised:
            raise raised[0] from None
        raise
    records = _count(connection, table)
    if choose is not None:
        choose(role)
    if role in ("exposures", "ranklists"):
        connection.execute(_SEVERAL.format(table=table))
        count_several = _COUNT_SEVERAL.format(table=table, served=_SERVED[role])
        copies, retries, conflicts = connection.execute(count_several).fetchall()[0]
        if copies or retries or conflicts:
            connection.execute(_DROP_LATER.format(table=table))
        return Staged(lines, records, copies, retries, conflicts)
    chosen = _count(connection, table)
    connection.execute(_DROP_COPIES.format(table=table))
    return Staged(lines, records, chosen - _count(connection, table))


def _count(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0])  # noqa: S608


class _ContextWriter:
    """Keeps the contexts that a scan finds in a table, so that logs with very many do not fill the memory."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._waiting: Contexts = []

    def add(self, contexts: Contexts) -> None:
        self._waiting += contexts
        if len(self._waiting) >= _CONTEXTS_PER_INSERT:
            self.flush()

    def flush(self) -> None:
        rows = pa.table(  # noqa: F841 - DuckDB finds it by its name
            [[ctx for ctx, _ in self._waiting], [pairs for _, pairs in self._waiting]], schema=CONTEXTS
        )
        self._connection.execute("INSERT INTO contexts FROM rows")
        self._waiting = []
