"""``recsys audit``: read and verify the audit trail."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import cyclopts
from cyclopts import Parameter
from cyclopts.validators import Number

from recsys.cli.console import JsonFlag, print_json, print_table
from recsys.cli.store_options import WHERE, Tenant, Where, control_plane

app = cyclopts.App(name="audit", help="Read and verify the audit trail.")


@app.command(name="list")
def list_(
    *,
    tenant: Tenant,
    limit: Annotated[int, Parameter(validator=Number(gte=1, lte=10_000))] = 20,
    before: datetime | None = None,
    before_id: int | None = None,
    where: Where = WHERE,
    json: JsonFlag = False,
) -> None:
    """List a tenant's changes, newest first.

    Parameters
    ----------
    limit
        At most this many.
    before
        Only what is older than this time (UTC unless it has a zone).
    before_id
        Only what has a number below this one: the last of the page before.
    """
    if before is not None and before.tzinfo is None:
        before = before.replace(tzinfo=UTC)
    with control_plane(where) as plane:
        entries = plane.audit_entries(tenant, limit=limit, before=before, before_id=before_id)
    if json:
        print_json(entries)
        return
    print_table(
        ["number", "time", "actor", "action", "subject", "before", "after", "comment"],
        [
            (
                e.number,
                e.time,
                e.actor,
                e.action,
                e.subject,
                (e.before or "")[:12],
                (e.after or "")[:12],
                "(erased)" if e.is_erased else e.comment,
            )
            for e in entries
        ],
    )


@app.command
def verify(*, where: Where = WHERE, json: JsonFlag = False) -> None:
    """Check the chain, every document and every pointer of the store."""
    with control_plane(where) as plane:
        report = plane.verify()
    if json:
        print_json(report)
    else:
        print(
            f"ok: {report.audit_entries} audit entries, "
            f"{report.documents} documents, {report.tenants} tenants"
        )
