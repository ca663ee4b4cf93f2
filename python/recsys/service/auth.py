"""Who asks, and for which tenant: credentials become principals, and all tenants named must agree."""

from __future__ import annotations

from typing import Protocol

import msgspec

from recsys.contracts.http import Name
from recsys.contracts.patterns import in_words
from recsys.contracts.problems import ProblemCode
from recsys.control.keys import Role
from recsys.control.principals import Principal
from recsys.service.problems import ProblemError
from recsys.service.transport import Headers

TENANT_HEADER = "x-org-id"
KEY_HEADER = "x-api-key"
MAX_CREDENTIAL = 16 * 1024
_CHALLENGE = [("www-authenticate", "Bearer")]

EVERY_ROLE: frozenset[Role] = frozenset(("viewer", "operator", "admin", "service"))
READERS: frozenset[Role] = frozenset(("viewer", "operator", "admin"))
EDITORS: frozenset[Role] = frozenset(("operator", "admin"))
ADMINS: frozenset[Role] = frozenset(("admin",))


class Authenticator(Protocol):
    """Turns the headers of a request into a principal."""

    def recall(self, headers: Headers) -> Principal | None:
        """Return the principal of a credential that was verified a moment ago; never waits for anything."""

    def authenticate(self, headers: Headers) -> Principal:
        """Return the principal, or raise the problem that refuses it; may read a store or fetch keys."""


class DevelopmentAuthenticator:
    """Trusts everybody as admin of any tenant; only for servers bound to loopback."""

    def __init__(self, default_tenant: str) -> None:
        self._principal = Principal("development", default_tenant, EVERY_ROLE, is_bound=False)

    def recall(self, headers: Headers) -> Principal:  # noqa: ARG002
        """Return the one principal there is."""
        return self._principal

    authenticate = recall


def read_credential(headers: Headers) -> str:
    """Return the API key or token of a request: ``Authorization: Bearer …``, or ``X-API-Key: …``.

    Raises 401 when there is none, or when both headers are there.
    """
    key, authorization = headers.get(KEY_HEADER), headers.get("authorization")
    if key is not None and authorization is not None:
        raise refuse("send either Authorization or X-API-Key, not both")
    if authorization is not None:
        scheme, _, key = authorization.partition(" ")
        if scheme.lower() != "bearer":
            raise refuse("Authorization is not of the scheme Bearer")
    credential = (key or "").strip()
    if not credential:
        raise ProblemError(
            ProblemCode.AUTH_REQUIRED,
            "send an API key or a token: Authorization: Bearer …, or X-API-Key: …",
            headers=_CHALLENGE,
        )
    if len(credential) > MAX_CREDENTIAL:
        raise refuse("the credential is too long")
    return credential


def refuse(detail: str) -> ProblemError:
    """Return the 401 of a credential that is not valid."""
    return ProblemError(ProblemCode.AUTH_INVALID, detail, headers=_CHALLENGE)


def agree_on_tenant(principal: Principal, headers: Headers, path_tenant: str | None) -> Principal:
    """Return the principal in the tenant of this request, which credential, header and path must agree on.

    Raises 400 for a name that is none, 403 when two of them differ.
    """
    named = None
    if TENANT_HEADER in headers:
        named = headers.get(TENANT_HEADER)
        if named is None:
            raise ProblemError(ProblemCode.INVALID_TENANT, "X-Org-Id is not visible ASCII")
    if named is None and path_tenant is None:
        return principal
    for tenant, place in ((named, "X-Org-Id"), (path_tenant, "the path")):
        if tenant is not None and tenant != principal.tenant_id:
            _check_name(tenant, place)
    if named is not None and path_tenant is not None and named != path_tenant:
        raise _mismatch(f"X-Org-Id names {named!r}, the path {path_tenant!r}")
    tenant = named if named is not None else path_tenant
    if principal.is_bound:
        if tenant != principal.tenant_id:
            raise _mismatch(f"the credential is not one of tenant {tenant!r}")
        return principal
    if tenant is None or tenant == principal.tenant_id:
        return principal
    return msgspec.structs.replace(principal, tenant_id=tenant)


def require_roles(principal: Principal, roles: frozenset[Role], what: str) -> None:
    """Raise 403 unless the principal has one of the roles; ``what`` names what it asked for."""
    if principal.roles.isdisjoint(roles):
        needed = ", ".join(sorted(roles))
        has = ", ".join(sorted(principal.roles)) or "none"
        raise ProblemError(ProblemCode.FORBIDDEN, f"{what} needs a role of: {needed}; this caller has: {has}")


def require_admin(principal: Principal, what: str) -> None:
    """Raise 403 unless the principal is an admin; ``what`` names what it asked for."""
    require_roles(principal, ADMINS, what)


def _check_name(tenant: str, place: str) -> None:
    try:
        msgspec.convert(tenant, Name)
    except msgspec.ValidationError as error:
        said = in_words(str(error))
        raise ProblemError(ProblemCode.INVALID_TENANT, f"{place} does not name a tenant: {said}") from error


def _mismatch(detail: str) -> ProblemError:
    return ProblemError(ProblemCode.TENANT_SCOPE_MISMATCH, detail)
