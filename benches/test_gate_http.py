"""The latency gate of one warm HTTP request: a stated bound that a fourfold slowdown breaks."""

from __future__ import annotations

import http.client
import json
import time
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from pytest_benchmark.fixture import BenchmarkFixture

from benches.http.bench_http import BODY, running_recsys, write_data

# Measured on two shared cores: p95 of 0.6 ms, over one connection that stays open, from a Python client.
P95_BOUND_MS = 2.4
REQUESTS = 500
# The best of several runs: a neighbour on a shared machine can spoil one of them, a slow program spoils all.
RUNS = 4


def test_p95_of_a_warm_request_stays_below_its_bound(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    write_data(tmp_path)
    body = json.dumps(BODY).encode()
    p95s_ms: list[float] = []
    with running_recsys(tmp_path) as url:
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=5)

        def requests() -> None:
            times = []
            for _ in range(REQUESTS):
                started = time.perf_counter()
                connection.request("POST", "/v1/recommend", body, {"content-type": "application/json"})
                answer = connection.getresponse()
                answer.read()
                times.append(time.perf_counter() - started)
                assert answer.status == 200
            p95s_ms.append(float(np.percentile(times, 95)) * 1e3)

        benchmark.pedantic(requests, rounds=RUNS, warmup_rounds=1)
        connection.close()
    print(f"p95 of a warm request: {min(p95s_ms):.2f} ms")
    assert min(p95s_ms) < P95_BOUND_MS
