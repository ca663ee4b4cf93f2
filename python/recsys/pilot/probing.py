"""Asks a running service whether it is ready, and whether it refuses who has no credential."""

from __future__ import annotations

from recsys.pilot.asking import ask, check_url
from recsys.pilot.facts import Probe


def probe_service(url: str, surface: str) -> Probe:
    """Return what the service at ``url`` answers; nothing is ranked or logged for it."""
    base = check_url(url)
    request = {"surface": surface, "user": {"user_id": "probe"}, "k": 1}
    return Probe(
        url=base,
        ready=ask(f"{base}/readyz").status,
        unauthenticated=ask(f"{base}/v1/recommend/validate", request).status,
    )
