"""Who asks, and for which tenant."""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec
from msgspec import Struct

from recsys.contracts.http import Name
from recsys.contracts.problems import ProblemCode
from recsys.service.problems import ProblemError
from recsys.service.transport import Headers

Role = Literal["service", "viewer", "operator", "admin"]
TENANT_HEADER = "x-org-id"


class Principal(Struct, frozen=True):
    """The tenant of a request and what its sender may do there."""

    tenant: str
    role: Role


class Authenticator(Protocol):
    """Turns the headers of a request into a principal, or raises the problem that refuses it."""

    def authenticate(self, headers: Headers) -> Principal:
        """Return the principal."""


class DevelopmentAuthenticator:
    """Trusts everybody as admin of the tenant that ``X-Org-Id`` names; only for servers bound to loopback."""

    def __init__(self, default_tenant: str) -> None:
        self._default = Principal(default_tenant, "admin")
        self._known = {default_tenant: self._default}

    def authenticate(self, headers: Headers) -> Principal:
        """Return an admin of the tenant in ``X-Org-Id``, or of the default one when there is none."""
        name = headers.get(TENANT_HEADER)
        if name is None:
            if TENANT_HEADER in headers:
                raise ProblemError(ProblemCode.INVALID_TENANT, "X-Org-Id is not visible ASCII")
            return self._default
        return self._known.get(name) or self._check(name)

    @staticmethod
    def _check(name: str) -> Principal:
        try:
            return Principal(msgspec.convert(name, Name), "admin")
        except msgspec.ValidationError as error:
            raise ProblemError(
                ProblemCode.INVALID_TENANT, f"X-Org-Id is not the name of a tenant: {error}"
            ) from error


def require_admin(principal: Principal, what: str) -> None:
    """Raise 403 unless the principal is an admin; ``what`` names what it asked for."""
    if principal.role != "admin":
        raise ProblemError(
            ProblemCode.FORBIDDEN, f"{what} needs the admin role, this one is {principal.role}"
        )
