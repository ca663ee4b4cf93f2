"""``recsys tenant``: create, list, show, suspend and resume tenants."""

from __future__ import annotations

from datetime import UTC, datetime

import cyclopts

from recsys.cli.console import JsonFlag, print_json, print_table
from recsys.cli.store_options import WHERE, Where, actor, control_plane

app = cyclopts.App(name="tenant", help="Create, list, show, suspend and resume tenants.")


@app.command
def create(tenant: str, /, *, where: Where = WHERE) -> None:
    """Create an active tenant."""
    with control_plane(where, create=True) as plane:
        plane.create_tenant(tenant, actor=actor())
    print(tenant)


@app.command(name="list")
def list_(*, where: Where = WHERE, json: JsonFlag = False) -> None:
    """List the tenants."""
    with control_plane(where) as plane:
        rows = [(t.tenant_id, t.state, t.created_at) for t in plane.tenants()]
    columns = ["tenant_id", "state", "created_at"]
    if json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        print_table(columns, rows)


@app.command
def show(tenant: str, /, *, where: Where = WHERE, json: JsonFlag = False) -> None:
    """Show a tenant: its state, its current documents, its keys."""
    from recsys.control.keys import list_keys
    from recsys.control.tenants import find_tenant
    from recsys.control.versions import KINDS, current_revision

    with control_plane(where) as plane, plane.read() as reader:
        found = find_tenant(reader, tenant)
        revisions = {kind: current_revision(reader, tenant, kind) for kind in KINDS}
        keys = list_keys(reader, tenant)
    usable = sum(key.is_usable(datetime.now(UTC)) for key in keys)
    facts: dict[str, object] = {
        "tenant_id": found.tenant_id,
        "state": found.state,
        "created_at": found.created_at,
        **{kind: revision and revision.version for kind, revision in revisions.items()},
        "keys": len(keys),
        "usable_keys": usable,
    }
    print_json(facts) if json else print_table(["", "value"], list(facts.items()))


@app.command
def suspend(tenant: str, /, *, where: Where = WHERE) -> None:
    """Suspend a tenant: its requests are refused until it is resumed."""
    with control_plane(where) as plane:
        print(plane.set_tenant_state(tenant, "suspended", actor=actor()).state)


@app.command
def resume(tenant: str, /, *, where: Where = WHERE) -> None:
    """Resume a suspended tenant."""
    with control_plane(where) as plane:
        print(plane.set_tenant_state(tenant, "active", actor=actor()).state)
