"""How many requests a second a running service answers: a bounded load from this machine.

The load generator shares the machine with the service, so what it finds is a lower bound.
"""

from __future__ import annotations

import http.client
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from urllib.parse import urlsplit

import msgspec
import numpy as np
from msgspec import Struct

from recsys.contracts.errors import RecsysError, UsageError
from recsys.pilot.asking import check_url

MAX_SECONDS = 60.0
CONNECTIONS = 8


class Capacity(Struct, frozen=True, kw_only=True):
    """``capacity.v1``: what was answered in ``seconds`` over ``connections``; latencies in milliseconds."""

    v: int = 1
    at: datetime
    url: str
    connections: int
    seconds: float
    requests_per_s: float
    p50_ms: float
    p95_ms: float
    failed: int


def measure(
    url: str,
    tenant: str,
    surface: str,
    *,
    seconds: float = 10.0,
    connections: int = CONNECTIONS,
    api_key: str | None = None,
) -> Capacity:
    """Load ``/v1/recommend`` for ``seconds`` and return what was answered.

    Raises :class:`UsageError` for more than a minute: a capacity test is no soak; :class:`RecsysError` when
    no request was answered with a list: that measures nothing.
    """
    if not 0 < seconds <= MAX_SECONDS:
        raise UsageError(f"--seconds {seconds:g}: above 0, and at most {MAX_SECONDS:g}")
    base = urlsplit(check_url(url))
    body = msgspec.json.encode(
        {"surface": surface, "segment": "default", "k": 20, "user": {"user_id": "capacity"}}
    )
    headers = {"content-type": "application/json", "x-org-id": tenant}
    if api_key is not None:
        headers["authorization"] = f"Bearer {api_key}"
    end = time.monotonic() + seconds
    began = time.monotonic()
    with ThreadPoolExecutor(connections) as pool:
        done = list(
            pool.map(lambda _: _load(base.netloc, base.scheme, body, headers, end), range(connections))
        )
    took = time.monotonic() - began
    latencies = np.asarray([latency for found, _, _ in done for latency in found])
    if not latencies.size:
        last = next((reason for _, _, reason in done if reason), "no time for one")
        raise RecsysError(f"{url}: no request was answered (last: {last})")
    return Capacity(
        at=datetime.now(UTC),
        url=url,
        connections=connections,
        seconds=round(took, 2),
        requests_per_s=round(len(latencies) / took, 1),
        p50_ms=_percentile(latencies.tolist(), 50),
        p95_ms=_percentile(latencies.tolist(), 95),
        failed=sum(failed for _, failed, _ in done),
    )


def _load(
    authority: str, scheme: str, body: bytes, headers: dict[str, str], end: float
) -> tuple[list[float], int, str]:
    """Return latencies of what was answered, how many were not, and why the last of these was not."""
    kind = http.client.HTTPSConnection if scheme == "https" else http.client.HTTPConnection
    connection = kind(authority, timeout=10)
    latencies: list[float] = []
    failed, reason = 0, ""
    try:
        while time.monotonic() < end:
            asked = time.perf_counter()
            try:
                connection.request("POST", "/v1/recommend", body, headers)
                response = connection.getresponse()
                response.read()
            except (OSError, http.client.HTTPException) as error:
                failed, reason = failed + 1, str(error) or type(error).__name__
                connection.close()
                continue
            if response.status == 200:
                latencies.append((time.perf_counter() - asked) * 1000)
            else:
                failed, reason = failed + 1, f"status {response.status}"
    finally:
        connection.close()
    return latencies, failed, reason


def _percentile(values: Sequence[float], q: float) -> float:
    return round(float(np.percentile(np.asarray(values), q)), 3) if values else 0.0
