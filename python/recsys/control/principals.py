"""Who is calling: an API key turned into a tenant and roles."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from recsys.control.keys import ApiKey, Role, find_key, key_id_of, match_key
from recsys.control.store import NotFoundError, Reader
from recsys.control.tenants import Tenant, find_tenant


class Principal(Struct, frozen=True):
    """A caller whose credential was verified. ``subject`` names it in the audit trail (``key:<id>``)."""

    subject: str
    tenant_id: str
    roles: frozenset[Role]
    is_suspended: bool = False
    expires_at: datetime | None = None
    """When the credential ends to be valid; ``None`` is never."""
    is_bound: bool = True
    """Whether the caller belongs to ``tenant_id`` alone; if not, that is the tenant it means by default."""

    def has_any(self, *roles: Role) -> bool:
        """Whether the caller has at least one of the roles."""
        return not self.roles.isdisjoint(roles)


def authenticate_key(reader: Reader, secret: bytes, text: str, now: datetime) -> Principal | None:
    """Return the principal of an API key, or ``None`` when it is unknown, revoked or expired.

    ``is_suspended`` tells that the tenant is: the caller is known (403), not refused (401).
    """
    key = match_key(find_key(reader, key_id_of(text)), secret, text, now)
    if key is None:
        return None
    try:
        tenant = find_tenant(reader, key.tenant_id)
    except NotFoundError:
        return None
    return principal_of(key, tenant)


def principal_of(key: ApiKey, tenant: Tenant) -> Principal:
    """Return the principal that a key of a tenant stands for."""
    is_suspended = tenant.state == "suspended"
    return Principal(
        f"key:{key.key_id}", key.tenant_id, frozenset(key.roles), is_suspended, expires_at=key.expires_at
    )
