"""``recsys key``: issue, list, show and revoke API keys."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Literal

import cyclopts
from cyclopts import Parameter
from cyclopts.validators import Number

from recsys.cli.console import JsonFlag, print_json, print_table
from recsys.cli.store_options import WHERE, Tenant, Where, actor, control_plane

if TYPE_CHECKING:
    from recsys.control.keys import ApiKey

app = cyclopts.App(name="key", help="Issue, list, show and revoke API keys.")

COLUMNS = ["key_id", "name", "roles", "state", "expires_at", "last_used_at"]

Roles = Annotated[
    list[Literal["viewer", "operator", "admin", "service"]],
    Parameter(name="--role", negative="", help="A role; may be given several times."),
]
Days = Annotated[float | None, Parameter(validator=Number(gt=0, lte=36_500), help="Days until it expires.")]


@app.command
def issue(
    *, tenant: Tenant, role: Roles, name: str = "", expires_days: Days = None, where: Where = WHERE
) -> None:
    """Issue a key and print it, this once."""
    expires_at = None if expires_days is None else datetime.now(UTC) + timedelta(days=expires_days)
    with control_plane(where) as plane:
        _, text = plane.issue_key(tenant, tuple(role), actor=actor(), name=name, expires_at=expires_at)
    print(text)


@app.command(name="list")
def list_(*, tenant: Tenant, where: Where = WHERE, json: JsonFlag = False) -> None:
    """List the keys of a tenant, without their secrets."""
    from recsys.control.keys import last_use, list_keys
    from recsys.control.tenants import find_tenant

    with control_plane(where) as plane, plane.read() as reader:
        find_tenant(reader, tenant)
        facts = [_facts(key, last_use(reader, key.key_id)) for key in list_keys(reader, tenant)]
    if json:
        print_json(facts)
    else:
        print_table(COLUMNS, [[fact[column] for column in COLUMNS] for fact in facts])


@app.command
def show(key_id: str, /, *, where: Where = WHERE, json: JsonFlag = False) -> None:
    """Show a key, without its secret."""
    from recsys.control.keys import find_key, last_use
    from recsys.control.store import NotFoundError

    with control_plane(where) as plane, plane.read() as reader:
        key = find_key(reader, key_id)
        if key is None:
            raise NotFoundError(f"API key {key_id!r} does not exist")
        facts = {
            "tenant_id": key.tenant_id,
            "created_by": key.created_by,
            **_facts(key, last_use(reader, key_id)),
        }
    print_json(facts) if json else print_table(["", "value"], list(facts.items()))


@app.command
def revoke(key_id: str, /, *, where: Where = WHERE) -> None:
    """Revoke a key, at once and for good."""
    with control_plane(where) as plane:
        plane.revoke_key(key_id, actor=actor())
    print(key_id)


def _facts(key: ApiKey, last_used_at: datetime | None) -> dict[str, object]:
    state = "revoked" if key.revoked_at else "usable" if key.is_usable(datetime.now(UTC)) else "expired"
    return {
        "key_id": key.key_id,
        "name": key.name,
        "roles": " ".join(key.roles),
        "state": state,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "last_used_at": last_used_at,
    }
