"""Tenants in the store: created once, active or suspended, each with the salt of its pseudonyms."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Literal

import msgspec
from msgspec import Struct

from recsys.contracts.http import Name
from recsys.contracts.patterns import fits_file_name
from recsys.control.audit import append_entry
from recsys.control.store import ControlError, NotFoundError, Reader, Table, Writer

TenantState = Literal["active", "suspended"]
SALT_BYTES = 32
MAX_TENANT_BYTES = 256


class Tenant(Struct, frozen=True):
    """A tenant. ``salt`` makes its pseudonyms; it never leaves the host and is never printed."""

    tenant_id: str
    state: TenantState
    created_at: datetime
    salt: bytes

    def __repr__(self) -> str:
        return f"Tenant(tenant_id={self.tenant_id!r}, state={self.state!r})"


def tenant_key(tenant_id: str) -> bytes:
    """Return the key of a tenant; raises :class:`ControlError` when the id is not one path segment."""
    try:
        msgspec.convert(tenant_id, Name)
    except msgspec.ValidationError as error:
        raise ControlError(f"tenant {tenant_id!r}: not one path segment of at most 128 characters") from error
    key = tenant_id.encode()
    if len(key) > MAX_TENANT_BYTES:
        raise ControlError(f"tenant {tenant_id!r}: longer than {MAX_TENANT_BYTES} bytes")
    return key


def find_tenant(reader: Reader, tenant_id: str) -> Tenant:
    """Return a tenant; raises :class:`NotFoundError`."""
    value = reader.get(Table.TENANTS, tenant_key(tenant_id))
    if value is None:
        raise NotFoundError(f"tenant {tenant_id!r} does not exist")
    return msgspec.json.decode(value, type=Tenant)


def list_tenants(reader: Reader) -> list[Tenant]:
    """Return all tenants by id."""
    return [msgspec.json.decode(value, type=Tenant) for _, value in reader.scan(Table.TENANTS)]


def create_tenant(writer: Writer, tenant_id: str, *, actor: str, time: datetime) -> Tenant:
    """Create an active tenant with a salt of its own; raises :class:`ControlError` if it exists."""
    key = tenant_key(tenant_id)
    if not fits_file_name(tenant_id):
        raise ControlError(
            f"tenant {tenant_id!r}: too long for a folder; take a shorter name, or plain letters"
        )
    if writer.get(Table.TENANTS, key) is not None:
        raise ControlError(f"tenant {tenant_id!r} exists already")
    tenant = Tenant(tenant_id, "active", time, secrets.token_bytes(SALT_BYTES))
    _write(writer, tenant, "tenant.create", before=None, actor=actor, time=time)
    return tenant


def set_tenant_state(
    writer: Writer, tenant_id: str, state: TenantState, *, actor: str, time: datetime
) -> Tenant:
    """Suspend or resume a tenant and return it; nothing changes when it is in that state already."""
    tenant = find_tenant(writer, tenant_id)
    if tenant.state == state:
        return tenant
    changed = msgspec.structs.replace(tenant, state=state)
    _write(writer, changed, "tenant.state", before=tenant.state, actor=actor, time=time)
    return changed


def _write(
    writer: Writer, tenant: Tenant, action: str, *, before: str | None, actor: str, time: datetime
) -> None:
    writer.put(Table.TENANTS, tenant_key(tenant.tenant_id), msgspec.json.encode(tenant))
    append_entry(
        writer,
        time=time,
        tenant=tenant.tenant_id,
        actor=actor,
        action=action,
        subject="tenant",
        before=before,
        after=tenant.state,
    )
