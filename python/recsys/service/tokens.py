"""JSON Web Tokens of an identity provider: signature, issuer, audience and time are all checked."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import get_args

import jwt
import msgspec

from recsys.contracts.errors import UsageError
from recsys.contracts.http import Name
from recsys.contracts.problems import ProblemCode
from recsys.control.keys import Role
from recsys.control.principals import Principal
from recsys.service.auth import refuse
from recsys.service.jwks import KeySet, choose_fetch
from recsys.service.problems import ProblemError
from recsys.service.settings import TokenSettings

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""What may be allowed: signatures by a private key that the service does not have."""

_ROLES: frozenset[str] = frozenset(get_args(Role))


def check_token_settings(settings: TokenSettings) -> None:
    """Raise :class:`UsageError` naming the option that cannot be used."""
    for name in ("issuer", "audience", "tenant_claim", "roles_claim"):
        if not getattr(settings, name):
            raise UsageError(f"--jwt-{name.replace('_', '-')}: needed with --jwt-jwks")
    for algorithm in settings.algorithms:
        if algorithm not in ALGORITHMS:
            raise UsageError(f"--jwt-algorithms {algorithm}: give some of {', '.join(ALGORITHMS)}")
    if not settings.algorithms:
        raise UsageError("--jwt-algorithms: at least one is needed")
    if not 0 <= settings.leeway_s <= 300:
        raise UsageError(f"--jwt-leeway {settings.leeway_s:g}: give 0 to 300 seconds")
    choose_fetch(settings.jwks)


class TokenVerifier:
    """Turns tokens into principals."""

    def __init__(self, settings: TokenSettings, keys: KeySet) -> None:
        self._settings = settings
        self._keys = keys

    def verify(self, token: str, now: datetime) -> Principal:
        """Return the principal of a token; raises 401 or 403, and never says more than which check failed."""
        settings = self._settings
        try:
            header = jwt.get_unverified_header(token)
        except jwt.InvalidTokenError as error:
            raise refuse("the credential is neither an API key nor a token") from error
        if header.get("alg") not in settings.algorithms:
            raise refuse("the token is signed with an algorithm that is not taken here")
        key = self._keys.find(header.get("kid"))
        if key is None:
            raise refuse("the token is signed with a key that the identity provider does not publish")
        try:
            claims: dict[str, object] = jwt.decode(
                token,
                key,
                algorithms=list(settings.algorithms),
                issuer=settings.issuer,
                audience=settings.audience,
                leeway=settings.leeway_s,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.InvalidTokenError as error:
            raise refuse(f"the token is not valid: {error}") from error
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise refuse("the token cannot be verified") from error
        return self._principal(claims, now)

    def _principal(self, claims: dict[str, object], now: datetime) -> Principal:
        expires = float(claims["exp"]) + self._settings.leeway_s  # type: ignore[arg-type]
        return Principal(
            subject=f"jwt:{claims['sub']}"[:256],
            tenant_id=_read_tenant(claims.get(self._settings.tenant_claim), self._settings.tenant_claim),
            roles=_read_roles(claims.get(self._settings.roles_claim)),
            expires_at=datetime.fromtimestamp(min(expires, now.timestamp() + 86_400), UTC),
        )


def _read_tenant(claim: object, name: str) -> str:
    if claim is None:
        raise ProblemError(ProblemCode.TENANT_SCOPE_REQUIRED, f"the token has no claim {name!r}")
    try:
        return msgspec.convert(claim, Name)
    except msgspec.ValidationError as error:
        raise ProblemError(
            ProblemCode.TENANT_SCOPE_INVALID, f"the claim {name!r} does not name a tenant"
        ) from error


def _read_roles(claim: object) -> frozenset[Role]:
    """Return the roles of a claim, a list of names or names with spaces between; unknown ones are none."""
    names: Sequence[object] = (
        claim.split() if isinstance(claim, str) else claim if isinstance(claim, list) else ()
    )
    known = [name for name in names if isinstance(name, str) and name in _ROLES]
    return msgspec.convert(known, frozenset[Role])
