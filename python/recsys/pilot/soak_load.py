"""The load of a soak: requests for lists at a steady rate over some connections."""

from __future__ import annotations

import http.client
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from recsys.pilot.drills.scratch import SURFACE, TENANT

CONNECTIONS = 4


class Answers(Struct, frozen=True):
    """How long each list took, as the caller saw it, and how many requests were not answered with one."""

    latencies_ms: list[float]
    failed: int


def load(url: str, rate: float, seconds: float) -> Answers:
    """Ask for ``rate`` lists a second; each connection asks in its turn, and catches up when it is late."""
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        done = list(pool.map(lambda own: _ask(url, rate / CONNECTIONS, seconds, own), range(CONNECTIONS)))
    return Answers([one for part in done for one in part.latencies_ms], sum(part.failed for part in done))


def _ask(url: str, rate: float, seconds: float, own: int) -> Answers:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    headers = {"content-type": "application/json", "x-org-id": TENANT}
    latencies: list[float] = []
    failed = 0
    began = time.monotonic()
    try:
        for number in range(int(rate * seconds)):
            time.sleep(max(0.0, began + number / rate - time.monotonic()))
            user = {"user_id": f"u-{own}-{number % 1000}"}
            body = msgspec.json.encode({"surface": SURFACE, "segment": "default", "k": 20, "user": user})
            asked = time.perf_counter()
            try:
                connection.request("POST", "/v1/recommend", body, headers)
                answer = connection.getresponse()
                has_items = b'"item_id"' in answer.read()
            except (OSError, http.client.HTTPException):
                connection.close()
                failed += 1
                continue
            if answer.status == 200 and has_items:
                latencies.append((time.perf_counter() - asked) * 1000)
            else:
                failed += 1
    finally:
        connection.close()
    return Answers(latencies, failed)
