"""``recsys key``: issue, list and revoke API keys."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

import cyclopts
from cyclopts import Parameter
from cyclopts.validators import Number

from recsys.cli.console import JsonFlag, print_json, print_table
from recsys.cli.documents import DATA_DIR, DataDir, Tenant, actor, control_plane

app = cyclopts.App(name="key", help="Issue, list and revoke API keys.")

Roles = Annotated[
    list[Literal["viewer", "operator", "admin", "service"]],
    Parameter(name="--role", negative="", help="A role; may be given several times."),
]
Days = Annotated[float | None, Parameter(validator=Number(gt=0, lte=36_500), help="Days until it expires.")]


@app.command
def issue(
    *, tenant: Tenant, role: Roles, name: str = "", expires_days: Days = None, data_dir: DataDir = DATA_DIR
) -> None:
    """Issue a key and print it, this once."""
    expires_at = None if expires_days is None else datetime.now(UTC) + timedelta(days=expires_days)
    with control_plane(data_dir) as plane:
        _, text = plane.issue_key(tenant, tuple(role), actor=actor(), name=name, expires_at=expires_at)
    print(text)


@app.command(name="list")
def list_(*, tenant: Tenant, data_dir: DataDir = DATA_DIR, json: JsonFlag = False) -> None:
    """List the keys of a tenant, without their secrets."""
    from recsys.control.keys import last_use

    columns = ["key_id", "name", "roles", "created_at", "expires_at", "revoked_at", "last_used_at"]
    with control_plane(data_dir) as plane:
        keys = plane.keys(tenant)
        with plane.read() as reader:
            rows = [
                (
                    k.key_id,
                    k.name,
                    " ".join(k.roles),
                    k.created_at,
                    k.expires_at,
                    k.revoked_at,
                    last_use(reader, k.key_id),
                )
                for k in keys
            ]
    if json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        print_table(columns, rows)


@app.command
def revoke(key_id: str, /, *, data_dir: DataDir = DATA_DIR) -> None:
    """Revoke a key, at once and for good."""
    with control_plane(data_dir) as plane:
        plane.revoke_key(key_id, actor=actor())
    print(key_id)
