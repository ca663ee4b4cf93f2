"""Verifies API keys and tokens, and remembers for a short while which were good.

A remembered credential costs a request one look into a dict. All are forgotten when the store changes, so a
revocation counts as soon as the worker has seen it (within a tenth of a second), and after a minute.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from recsys.contracts.problems import ProblemCode
from recsys.control.keys import KEY_PREFIX
from recsys.control.plane import ControlPlane
from recsys.control.principals import Principal
from recsys.control.store import StoreUnavailableError
from recsys.service.auth import read_credential, refuse
from recsys.service.problems import ProblemError
from recsys.service.state import State
from recsys.service.transport import Headers

if TYPE_CHECKING:  # it needs the extra `auth`, and without tokens nobody needs it
    from recsys.service.tokens import TokenVerifier

MAX_REMEMBERED = 4096
MAX_AGE_S = 60.0


class _Remembered(NamedTuple):
    principal: Principal
    until: float


class CredentialAuthenticator:
    """Takes API keys and, with ``tokens``, JSON Web Tokens."""

    def __init__(
        self, state: State, tokens: TokenVerifier | None, *, clock: Callable[[], float] = time.time
    ) -> None:
        """``clock`` gives Unix seconds."""
        self._state = state
        self._plane: ControlPlane = state.plane
        self._tokens = tokens
        self._clock = clock
        self._remembered: dict[str, _Remembered] = {}
        self._view = state.view

    def recall(self, headers: Headers) -> Principal | None:
        """Return the principal of a credential that was verified within the last minute."""
        if self._view is not self._state.view:
            self._view = self._state.view
            self._remembered = {}
            return None
        found = self._remembered.get(read_credential(headers))
        return found.principal if found is not None and self._clock() < found.until else None

    def authenticate(self, headers: Headers) -> Principal:
        """Verify the credential; raises 401, and 503 when what verifies it cannot be reached."""
        credential = read_credential(headers)
        # What the store says below is at least as new as this, so a change in between forgets it again.
        remembered = self._remembered
        principal = self._verify(credential)
        until = self._clock() + MAX_AGE_S
        if principal.expires_at is not None:
            until = min(until, principal.expires_at.timestamp())
        if len(remembered) >= MAX_REMEMBERED:
            remembered.pop(next(iter(remembered)), None)
        remembered[credential] = _Remembered(principal, until)
        return principal

    def _verify(self, credential: str) -> Principal:
        if not credential.startswith(f"{KEY_PREFIX}_"):
            if self._tokens is None:
                raise refuse("this is no API key, and tokens are not taken here")
            return self._tokens.verify(credential, datetime.fromtimestamp(self._clock(), UTC))
        # A key that the worker's view does not know may have been issued since.
        principal = self._plane.authenticate(credential, self._state.view) or self._ask_store(credential)
        if principal is None:
            raise refuse("the API key is unknown, revoked or expired")
        self._state.key_uses.note(principal.subject.removeprefix("key:"))
        return principal

    def _ask_store(self, credential: str) -> Principal | None:
        try:
            return self._plane.authenticate(credential)
        except StoreUnavailableError as error:
            raise ProblemError(
                ProblemCode.OVERLOADED, "the API key cannot be verified now", headers=[("retry-after", "5")]
            ) from error
