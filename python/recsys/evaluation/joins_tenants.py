"""One tenant of logs that hold several: its exposures stay, and what belongs to the requests of others goes.

The tenant of an exposure or assignment is ``tenant_id`` of its context, that of an outcome the tenant of its
request. Exposures without one are of a tenant of their own, named by the empty string. Outcomes whose request
has no exposure at all stay: nobody knows whose they are. Logs that name no tenant anywhere are taken whole.
"""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from recsys.contracts.errors import EvaluationError
from recsys.evaluation.inputs import Role

NO_TENANT = "(no tenant)"

_TENANTS = """
SELECT DISTINCT coalesce(pairs['tenant_id'], '') FROM (SELECT DISTINCT ctx FROM exposures)
LEFT JOIN contexts USING (ctx) ORDER BY 1;
"""
_OTHERS = """
CREATE TABLE other_contexts AS SELECT DISTINCT ctx FROM (SELECT DISTINCT ctx FROM {table})
LEFT JOIN contexts USING (ctx) WHERE coalesce(pairs['tenant_id'], '') <> $tenant {unless};
"""
_REQUESTS = """
CREATE TABLE other_requests AS
SELECT r1, r2 FROM exposures SEMI JOIN other_contexts USING (ctx)
EXCEPT SELECT r1, r2 FROM exposures ANTI JOIN other_contexts USING (ctx);
"""
_DROP_CONTEXTS = "DELETE FROM {table} WHERE ctx IN (SELECT ctx FROM other_contexts);"
_DROP_REQUESTS = """
DELETE FROM {table} WHERE rowid IN (
    SELECT t.rowid FROM {table} t SEMI JOIN other_requests o ON t.r1 = o.r1 AND t.r2 = o.r2
);
"""


def keep_tenant(
    connection: duckdb.DuckDBPyConnection, role: Role, tenant: str | None, *, allow_several: bool
) -> None:
    """Leave ``tenant`` alone in the table of ``role``, exposures first; None stands for the only one.

    ``contexts`` must hold those of the table. Raises EvaluationError when the exposures are of several
    tenants and none is named, unless ``allow_several``, or when none of them is of ``tenant``.
    """
    if role == "exposures":
        tenants = [str(row[0]) for row in connection.execute(_TENANTS).fetchall()]
        if tenant is None:
            if len(tenants) > 1 and not allow_several:
                raise EvaluationError(
                    f"the logs are of tenants {_in_words(tenants)}: name one with --tenant"
                    + ("" if "" not in tenants else " ('' for the exposures without one)")
                )
            return
        if tenants in ([], [""]):
            return
        if tenant not in tenants:
            raise EvaluationError(
                f"no exposure is of tenant {tenant!r}; the logs are of: {_in_words(tenants)}"
            )
        connection.execute(_OTHERS.format(table=role, unless=""), {"tenant": tenant})
        connection.execute(_REQUESTS)
        connection.execute(_DROP_CONTEXTS.format(table=role))
        connection.execute("DROP TABLE other_contexts")
    elif tenant is not None and _is_there(connection, "other_requests"):
        if role != "outcomes":
            # An assignment or a list need not name a tenant: its request does.
            unless = "AND pairs['tenant_id'] IS NOT NULL"
            connection.execute(_OTHERS.format(table=role, unless=unless), {"tenant": tenant})
            connection.execute(_DROP_CONTEXTS.format(table=role))
            connection.execute("DROP TABLE other_contexts")
        connection.execute(_DROP_REQUESTS.format(table=role))


def _is_there(connection: duckdb.DuckDBPyConnection, table: str) -> bool:
    found = connection.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = ?", [table]).fetchall()
    return bool(found)


def _in_words(tenants: Sequence[str], most: int = 10) -> str:
    names = ", ".join(tenant or NO_TENANT for tenant in tenants[:most])
    return names if len(tenants) <= most else f"{names} and {len(tenants) - most:,} more"
