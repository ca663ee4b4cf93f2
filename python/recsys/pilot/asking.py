"""Asks an HTTP service and never raises for what it answers: drills and probes want to see failures."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Mapping
from email.message import Message
from typing import NamedTuple

import msgspec

from recsys.contracts.errors import UsageError

TIMEOUT_S = 5.0


class Answer(NamedTuple):
    """What came back; ``status`` 0 when nothing did. ``headers`` by lower-case name."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> object:
        """Return the body as plain values; raises ``msgspec.DecodeError`` when it is not JSON."""
        return msgspec.json.decode(self.body)


NO_ANSWER = Answer(0, {}, b"")


def check_url(url: str) -> str:
    """Return ``url`` without its last slash; raises :class:`UsageError` for anything but http and https."""
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"{url}: give http://HOST:PORT")
    return url.rstrip("/")


def ask(
    url: str,
    body: object = None,
    *,
    method: str | None = None,
    headers: Mapping[str, str] | None = None,
    timeout_s: float = TIMEOUT_S,
) -> Answer:
    """Return the answer of ``url``; a ``body`` (plain values or structs) is sent as JSON, by POST."""
    data = None if body is None else msgspec.json.encode(body)
    sent = dict(headers or {}) | ({} if data is None else {"content-type": "application/json"})
    request = urllib.request.Request(check_url(url), data=data, headers=sent, method=method)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as response:  # noqa: S310
            return Answer(response.status, _lower(response.headers), response.read())
    except urllib.error.HTTPError as error:
        return Answer(error.code, _lower(error.headers), error.read())
    except OSError:
        return NO_ANSWER


def _lower(headers: Message) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
