"""Rate limits, counted together by all workers, and admission."""

import asyncio
import json
import multiprocessing
from contextlib import suppress
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.service.conftest import Client, Exchange

from recsys.contracts.config import Limits, TenantConfig
from recsys.control.principals import Principal
from recsys.service.admission import Admission
from recsys.service.app import App
from recsys.service.auth import DevelopmentAuthenticator
from recsys.service.problems import ProblemError
from recsys.service.rate_limits import RateLimits, window_of
from recsys.service.shared_counts import N_SLOTS, SharedCounts


class Clock:
    """Unix seconds that a test sets."""

    now = 1_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def limited(make_client, tmp_path, clock, config) -> Client:
    client = make_client(config=config)
    counts = SharedCounts(tmp_path / "counts.bin", clock=clock)
    client.app = App(
        client.state,
        client.watcher,
        DevelopmentAuthenticator("demo"),
        rate_limits=RateLimits(counts, clock=clock),
    )
    return client


def test_events_beyond_the_rate_are_sent_again_and_count_once(make_client, tmp_path, clock):
    client = limited(make_client, tmp_path, clock, "[config.limits]\ntenant_requests_per_s = 1")
    outcome = {"request_id": "r", "user_id": "u", "item_id": "i", "event_type": "click"}
    body = {"outcomes": [outcome | {"ts": datetime.now(UTC).isoformat()}]}
    assert client.post("/v1/events", {}).status == 200
    refused = client.post("/v1/events", body)
    assert (refused.status, refused.headers["retry-after"]) == (429, "1")
    assert not list((client.data_dir / "logs").glob("outcomes/*/*.jsonl"))
    clock.now += 1.001
    assert client.post("/v1/events", body).json()["accepted"] == 1


@pytest.mark.parametrize("scope", ["tenant", "principal"])
def test_beyond_the_rate_is_429_with_retry_after_until_the_window_ends(make_client, tmp_path, clock, scope):
    client = limited(make_client, tmp_path, clock, f"[config.limits]\n{scope}_requests_per_s = 3")
    assert [client.recommend().status for _ in range(4)] == [200, 200, 200, 429]
    refused = client.similar("i00")
    assert (refused.status, refused.json()["code"]) == (429, "RECSYS_OVERLOADED")
    assert refused.json()["status"] == 429
    assert refused.headers["retry-after"] == "1"
    assert len(client.exposures()) == 3
    assert 'recsys_refused_total{reason="rate"} 2.0' in client.get("/metrics").body.decode()
    clock.now += 1.001
    assert client.recommend().status == 200


def batch(client: Client, n_lists: int):
    body = {"surface": "home", "segment": "default", "k": 1, "user": {"user_id": "u"}}
    return client.post("/v1/recommend/batch", {"requests": [body] * n_lists})


@pytest.mark.parametrize("scope", ["tenant", "principal"])
def test_each_list_of_a_batch_counts_and_what_does_not_fit_is_refused_whole(
    make_client, tmp_path, clock, scope
):
    client = limited(make_client, tmp_path, clock, f"[config.limits]\n{scope}_requests_per_s = 6")
    assert batch(client, 4).status == 200
    refused = batch(client, 3)
    assert (refused.status, refused.headers["retry-after"]) == (429, "1")
    assert refused.json()["detail"].startswith("3 lists count as 3 requests: more than 6 requests a second")
    assert len(client.exposures()) == 4
    # The refused batch has counted as the one request that it was; one more is left.
    assert [client.recommend().status for _ in range(2)] == [200, 429]
    clock.now += 1.001
    assert [batch(client, 6).status, client.recommend().status] == [200, 429]


def test_a_batch_that_no_window_lets_through_is_told_so(make_client, tmp_path, clock):
    client = limited(make_client, tmp_path, clock, "[config.limits]\ntenant_requests_per_s = 2.5")
    answer = batch(client, 6)
    assert answer.status == 429
    assert answer.json()["detail"].endswith("; no batch of more than 5 passes")


def test_a_batch_that_is_not_valid_counts_as_one_request(make_client, tmp_path, clock):
    client = limited(make_client, tmp_path, clock, "[config.limits]\ntenant_requests_per_s = 2")
    assert [client.post("/v1/recommend/batch", {"requests": []}).status for _ in range(3)] == [400, 400, 429]


def test_the_admin_api_is_not_limited_with_the_lists(make_client, tmp_path, clock):
    client = limited(make_client, tmp_path, clock, "[config.limits]\ntenant_requests_per_s = 1")
    assert [client.recommend().status for _ in range(2)] == [200, 429]
    assert client.get("/v1/admin/tenants/demo/config").status == 200


def test_a_tenant_without_a_limit_is_not_counted(make_client, tmp_path, clock):
    client = limited(make_client, tmp_path, clock, "")
    assert {client.recommend().status for _ in range(50)} == {200}
    assert (tmp_path / "counts.bin").read_bytes() == bytes(N_SLOTS * 24)


@given(st.floats(min_value=0.0005, max_value=1e6))
def test_a_window_lets_its_rate_through(rate):
    window = window_of(rate)
    assert 1 <= window.get_expiry() <= 3600
    assert window.amount / window.get_expiry() == pytest.approx(rate, rel=0.01, abs=0.0003)


def test_a_rate_of_less_than_one_in_a_second_has_a_longer_window():
    assert (window_of(0.5).amount, window_of(0.5).get_expiry()) == (1, 2)
    assert (window_of(2.5).amount, window_of(2.5).get_expiry()) == (5, 2)
    assert (window_of(1e-9).amount, window_of(1e-9).get_expiry()) == (1, 3600)


def _count(path: Path, n: int) -> None:
    counts = SharedCounts(path)
    for _ in range(n):
        counts.incr("key", 60)


def test_a_clock_that_is_set_back_ends_the_window(tmp_path):
    now = [1_800_000_000.0]
    counts = SharedCounts(tmp_path / "counts", clock=lambda: now[0])
    assert counts.incr("a", 1, 5) == 5
    assert counts.get("a") == 5
    now[0] -= 1800
    assert counts.get("a") == 0
    assert counts.incr("a", 1) == 1
    assert counts.get_expiry("a") == now[0] + 1
    now[0] += 0.5
    assert counts.incr("a", 1) == 2


def test_processes_count_together(tmp_path):
    path = tmp_path / "counts.bin"
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_count, args=(path, 500)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert SharedCounts(path).get("key") == 1000


def test_more_keys_than_counters_push_out_those_nearest_their_end(tmp_path, monkeypatch, clock):
    monkeypatch.setattr("recsys.service.shared_counts.N_SLOTS", 8)
    counts = SharedCounts(tmp_path / "counts.bin", clock=clock)
    for number in range(8):
        counts.incr(f"key {number}", 10 + number)
    counts.incr("new", 5)
    assert counts.get("new") == 1
    assert counts.get("key 0") == 0
    assert [counts.get(f"key {number}") for number in range(1, 8)] == [1] * 7
    counts.clear("new")
    assert counts.get("new") == 0


def test_a_key_is_still_found_behind_one_that_was_cleared(tmp_path, monkeypatch, clock):
    monkeypatch.setattr("recsys.service.shared_counts.N_SLOTS", 8)
    counts = SharedCounts(tmp_path / "counts.bin", clock=clock)
    keys = [f"key {number}" for number in range(8)]
    for key in keys:
        counts.incr(key, 60)
    for cleared, key in pairwise(keys):
        counts.clear(cleared)
        assert counts.get(key) == 1
        assert counts.incr(key, 60) == 2


def test_a_worker_refuses_what_it_cannot_take_on(make_client):
    client = make_client()
    client.app = App(client.state, client.watcher, DevelopmentAuthenticator("demo"), admission=Admission(2))
    body = json.dumps({"surface": "home", "user": {"user_id": "u"}}).encode()
    gate = asyncio.Event()

    class Slow(Exchange):
        async def __call__(self) -> bytes:
            await gate.wait()
            return self.body

    async def run():
        headers = {"content-type": "application/json", "content-length": str(len(body))}
        exchanges = [Slow("POST", "/v1/recommend", headers, body) for _ in range(3)]
        tasks = [asyncio.ensure_future(client.app.__rsgi__(one, one)) for one in exchanges]
        await asyncio.sleep(0)
        live = Exchange("GET", "/livez", {}, b"")
        await client.app.__rsgi__(live, live)
        scrape = Exchange("GET", "/metrics", {}, b"")
        await client.app.__rsgi__(scrape, scrape)
        assert "\nrecsys_pending_requests 2.0\n" in scrape.answer.body.decode()
        gate.set()
        await asyncio.gather(*tasks)
        again = Slow("POST", "/v1/recommend", headers, body)
        await client.app.__rsgi__(again, again)
        return [one.answer for one in [*exchanges, live, again]]

    answers = asyncio.run(run())
    assert [answer.status for answer in answers] == [200, 200, 503, 200, 200]
    assert answers[2].json()["code"] == "RECSYS_OVERLOADED"
    assert answers[2].headers["retry-after"] == "1"
    scraped = client.get("/metrics").body.decode()
    assert 'recsys_refused_total{reason="pending"} 1.0' in scraped
    assert "\nrecsys_pending_requests 0.0\n" in scraped


@pytest.mark.parametrize(
    ("rate", "n_workers", "at_least"), [(50, 3, 50), (5_000, 1, 5_000), (5_000, 3, 4_800)]
)
def test_workers_together_let_no_more_through_than_the_rate(tmp_path, clock, rate, n_workers, at_least):
    tenant = SimpleNamespace(
        name="demo",
        config=TenantConfig(limits=Limits(tenant_requests_per_s=rate)),
    )
    counts = [SharedCounts(tmp_path / "counts.bin", clock=clock) for _ in range(n_workers)]
    workers = [RateLimits(each, clock=clock) for each in counts]

    caller = Principal("key:k", "demo", frozenset())

    def passed() -> int:
        n_passed = 0
        for number in range(2 * rate):
            with suppress(ProblemError):
                workers[number % n_workers].count(tenant, caller)
                n_passed += 1
        return n_passed

    for _ in range(2):
        assert at_least <= passed() <= rate
        clock.now += 1.0


@given(st.lists(st.integers(1, 20), min_size=60, max_size=120), st.integers(1, 300), st.integers(1, 3))
@settings(max_examples=30, deadline=None)
def test_batches_of_any_size_let_no_more_through_than_the_rate(sizes, rate, n_workers):
    clock = Clock()
    tenant = SimpleNamespace(name="demo", config=TenantConfig(limits=Limits(tenant_requests_per_s=rate)))
    caller = Principal("key:k", "demo", frozenset())
    n_passed = n_counted = 0
    with TemporaryDirectory() as folder:
        counts = [SharedCounts(Path(folder) / "counts.bin", clock=clock) for _ in range(n_workers)]
        workers = [RateLimits(each, clock=clock) for each in counts]
        for number, size in enumerate(sizes):
            worker = workers[number % n_workers]
            with suppress(ProblemError):
                worker.count(tenant, caller)
                n_counted += 1
                worker.count_lists(tenant, caller, size)
                n_counted += size - 1
                n_passed += size
        for each in counts:
            each.close()
    assert n_passed <= n_counted <= rate
    if n_workers == 1:
        assert n_counted >= min(rate, sum(sizes), rate - max(sizes))
