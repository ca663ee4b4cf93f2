"""``recsys tenant``: create, list, suspend and resume tenants."""

from __future__ import annotations

import cyclopts

from recsys.cli.console import JsonFlag, print_json, print_table
from recsys.cli.documents import DATA_DIR, DataDir, actor, control_plane

app = cyclopts.App(name="tenant", help="Create, list, suspend and resume tenants.")


@app.command
def create(tenant: str, /, *, data_dir: DataDir = DATA_DIR) -> None:
    """Create an active tenant."""
    with control_plane(data_dir) as plane:
        plane.create_tenant(tenant, actor=actor())
    print(tenant)


@app.command(name="list")
def list_(*, data_dir: DataDir = DATA_DIR, json: JsonFlag = False) -> None:
    """List the tenants."""
    with control_plane(data_dir) as plane:
        rows = [(t.tenant_id, t.state, t.created_at) for t in plane.tenants()]
    columns = ["tenant_id", "state", "created_at"]
    if json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        print_table(columns, rows)


@app.command
def suspend(tenant: str, /, *, data_dir: DataDir = DATA_DIR) -> None:
    """Suspend a tenant: its requests are refused until it is resumed."""
    with control_plane(data_dir) as plane:
        print(plane.set_tenant_state(tenant, "suspended", actor=actor()).state)


@app.command
def resume(tenant: str, /, *, data_dir: DataDir = DATA_DIR) -> None:
    """Resume a suspended tenant."""
    with control_plane(data_dir) as plane:
        print(plane.set_tenant_state(tenant, "active", actor=actor()).state)
