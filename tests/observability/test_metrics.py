"""Counts are kept in plain numbers, and none is lost on the way to a scrape."""

import asyncio
import os
import re
import subprocess
import sys

import pytest

from recsys.observability.metrics import LATENCY_BUCKETS_S, MULTIPROCESS_DIR, Metrics


def _value(metrics: Metrics, sample: str) -> float:
    found = re.search(rf"^{re.escape(sample)} (\S+)$", metrics.render().decode(), re.MULTILINE)
    assert found is not None, metrics.render().decode()
    return float(found[1])


def test_every_count_is_in_the_next_scrape():
    metrics = Metrics()

    async def serve() -> None:
        surface = metrics.of_surface("recommend", "demo", "home")
        for kind in ("full", "full", "short"):
            surface.count_list(kind, 0.002)
        surface.count_failure()
        metrics.count_warning("FALLBACK_USED")
        labels = '{endpoint="recommend",outcome="%s",surface="home",tenant="demo"}'
        assert _value(metrics, "recsys_requests_total" + labels % "ok") == 3
        assert _value(metrics, "recsys_requests_total" + labels % "server_error") == 1
        assert _value(metrics, 'recsys_lists_total{kind="full",surface="home",tenant="demo"}') == 2
        assert _value(metrics, 'recsys_warnings_total{code="FALLBACK_USED"}') == 1
        surface.count_list("full", 0.002)
        assert _value(metrics, "recsys_requests_total" + labels % "ok") == 4

    asyncio.run(serve())


def test_counts_are_written_without_a_scrape_a_little_later(monkeypatch):
    monkeypatch.setattr("recsys.observability.metrics.FLUSH_AFTER_S", 0.01)
    metrics = Metrics()
    flushed = []
    surface = metrics.of_surface("recommend", "demo", "home")
    monkeypatch.setattr(surface, "flush", lambda: flushed.append(1))

    async def serve() -> None:
        for _ in range(5):
            surface.count_list("full", 0.001)
        assert flushed == []
        await asyncio.sleep(0.05)
        assert flushed == [1]
        surface.count_failure()
        await asyncio.sleep(0.05)
        assert flushed == [1, 1]

    asyncio.run(serve())


def test_pending_requests_are_summed_over_the_workers_that_live(tmp_path):
    worker = (
        "from recsys.observability.metrics import Metrics; metrics = Metrics()\n"
        "metrics.count_pending = lambda: 3\n"
        "metrics.flush(); print(metrics.render().decode())"
    )
    shown = [
        subprocess.run(
            [sys.executable, "-c", worker],
            env=os.environ | {MULTIPROCESS_DIR: str(tmp_path)},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout
        for _ in range(2)
    ]
    assert "\nrecsys_pending_requests 3.0\n" in shown[0]
    assert "\nrecsys_pending_requests 6.0\n" in shown[1]
    # A worker that starts removes these files of those that are gone.
    assert len(list(tmp_path.glob("gauge_livesum_*.db"))) == 2


@pytest.mark.parametrize("seconds", [0.0, 0.0001, 0.00011, 0.003, 2.5, 2.6, 1e9])
def test_a_batch_of_observations_is_as_many_single_ones(seconds):
    batched, single = Metrics(), Metrics()
    for _ in range(3):
        batched.of_surface("recommend", "demo", "home").count_list("full", seconds)
        single.latency.labels("recommend").observe(seconds)
    single.of_surface("recommend", "demo", "home")
    for bound in (*LATENCY_BUCKETS_S, float("inf")):
        text = "+Inf" if bound == float("inf") else str(bound)
        sample = f'recsys_request_duration_seconds_bucket{{endpoint="recommend",le="{text}"}}'
        assert _value(batched, sample) == _value(single, sample)
    total = 'recsys_request_duration_seconds_sum{endpoint="recommend"}'
    assert _value(batched, total) == pytest.approx(_value(single, total))
