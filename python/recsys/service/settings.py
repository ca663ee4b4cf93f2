"""How to serve: every setting in one place, checked before anything starts."""

from __future__ import annotations

import ipaddress
from typing import Literal

from msgspec import Struct

from recsys.contracts.errors import UsageError
from recsys.service.admission import DEFAULT_MAX_PENDING
from recsys.service.cores import check_cores
from recsys.service.loading import Sources

DEFAULT_TENANT = "demo"
ServedRoutes = Literal["all", "public", "admin"]
"""Everything, all but the admin API, or the admin API with the open routes."""

DEFAULT_ALGORITHMS = ("RS256", "ES256")


class TokenSettings(Struct, frozen=True):
    """Which JSON Web Tokens are taken: ``jwks`` is a file or a URL; ``leeway_s`` in seconds."""

    jwks: str
    issuer: str
    audience: str
    algorithms: tuple[str, ...] = DEFAULT_ALGORITHMS
    leeway_s: float = 30.0
    tenant_claim: str = "tenant_id"
    roles_claim: str = "roles"


class ServeSettings(Struct, frozen=True, kw_only=True):
    """What ``recsys serve`` was asked for; port 0 takes a free one.

    With ``admin_port`` the admin API is served there, at ``admin_host``, and no more at ``port``.
    """

    sources: Sources
    is_development: bool = False
    host: str = "127.0.0.1"
    port: int = 8000
    admin_host: str = "127.0.0.1"
    admin_port: int | None = None
    workers: int = 1
    pins_workers: bool = False
    max_pending: int = DEFAULT_MAX_PENDING
    drain_s: float = 0.0
    tokens: TokenSettings | None = None
    logs_requests: bool = False
    traces_requests: bool = False

    def check(self) -> None:
        """Raise :class:`UsageError` naming the option that cannot be used."""
        if self.pins_workers:
            check_cores(self.workers)
        if self.is_development:
            for option, host in (("--host", self.host), ("--admin-host", self.admin_host)):
                require_loopback(host, option)
            if self.tokens is not None:
                raise UsageError("--jwt-jwks: --dev asks nobody for a token; leave one of them out")


def require_loopback(host: str, option: str = "--host") -> None:
    """Raise :class:`UsageError` unless ``host`` is ``localhost`` or a loopback address."""
    try:
        is_loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise UsageError(f"{option} {host}: --dev trusts everybody, so it binds to loopback only (127.0.0.1)")
