"""Asks a running service whether it is ready, and whether it refuses who has no credential."""

from __future__ import annotations

import urllib.error
import urllib.request

import msgspec

from recsys.contracts.errors import UsageError
from recsys.pilot.facts import Probe

TIMEOUT_S = 5.0


def probe_service(url: str, surface: str) -> Probe:
    """Return what the service at ``url`` answers; a status of 0 means that it does not.

    Raises :class:`UsageError` for anything but an http or https URL.
    """
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"--url {url}: give http://HOST:PORT")
    base = url.rstrip("/")
    body = msgspec.json.encode({"surface": surface, "user": {"user_id": "probe"}, "k": 1})
    return Probe(_status(f"{base}/readyz"), _status(f"{base}/v1/recommend/validate", body))


def _status(url: str, body: bytes | None = None) -> int:
    headers = {} if body is None else {"content-type": "application/json"}
    request = urllib.request.Request(url, data=body, headers=headers)  # noqa: S310 - http or https, see above
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:  # noqa: S310
            status: int = response.status
            return status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0
