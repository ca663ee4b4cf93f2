"""``recsys audit``: read and verify the audit trail."""

from __future__ import annotations

import cyclopts

from recsys.cli.console import JsonFlag, print_json, print_table
from recsys.cli.documents import DATA_DIR, DataDir, Tenant, control_plane

app = cyclopts.App(name="audit", help="Read and verify the audit trail.")


@app.command(name="list")
def list_(
    *,
    tenant: Tenant,
    limit: int = 20,
    before: int | None = None,
    data_dir: DataDir = DATA_DIR,
    json: JsonFlag = False,
) -> None:
    """List a tenant's changes, newest first, with numbers below --before."""
    with control_plane(data_dir) as plane:
        entries = plane.audit_entries(tenant, limit=limit, before_id=before)
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
                e.comment,
            )
            for e in entries
        ],
    )


@app.command
def verify(*, data_dir: DataDir = DATA_DIR, json: JsonFlag = False) -> None:
    """Check the chain, every document and every pointer of the store."""
    with control_plane(data_dir) as plane:
        report = plane.verify()
    if json:
        print_json(report)
    else:
        print(
            f"ok: {report.audit_entries} audit entries, "
            f"{report.documents} documents, {report.tenants} tenants"
        )
