"""Pseudonyms: the only form in which a user appears in a log."""

from __future__ import annotations

import hmac


def pseudonym(salt: bytes, user_id: str) -> str:
    """Return the lower-case hex HMAC-SHA256 of ``user_id`` under the tenant's ``salt`` (64 characters)."""
    return hmac.digest(salt, user_id.encode(), "sha256").hex()


def identify(user_id: str | None, anonymous_id: str | None, session_id: str | None) -> str | None:
    """Return the id that stands for the user: the first one given, in this order, or ``None``.

    The order is the same in logs, in experiment assignment and in evaluation.
    """
    return user_id or anonymous_id or session_id or None
