"""The latency gate of the native rank call: a stated bound that a fourfold slowdown breaks."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from pytest_benchmark.fixture import BenchmarkFixture

from benches.synthetic_artifacts import write_catalog, write_neighbours
from recsys import _native

# Measured on two shared cores: p95 of 31 us. Four times that leaves room for a slower machine.
P95_BOUND_US = 125
ROUNDS = 2_000
# The best of several runs: a neighbour on a shared machine can spoil one of them, a slow program spoils all.
RUNS = 3


def test_p95_of_a_rank_call_stays_below_its_bound(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    write_catalog(tmp_path / "catalog", 100_000)
    write_neighbours(tmp_path / "cooc", tmp_path / "catalog", 50)
    catalog = _native.Catalog.open(str(tmp_path / "catalog"))
    signal = _native.Signal.open(str(tmp_path / "cooc"))
    plan = _native.Plan(catalog, [_native.Source("cooc", signal, weight=1.0, weight_group="cooc")])
    ids = [f"item-{i:08d}" for i in np.random.default_rng(2).integers(0, 100_000, 12_000)]
    requests = [ids[start : start + 10] for start in range(0, 5 * ROUNDS, 5)]

    def rank(anchors: list[str]) -> list[str]:
        return plan.rank(20, 0, anchors=anchors, exclude=ids[:50], forbidden_tags=["tag-007"]).item_ids

    def round_of_calls() -> None:
        times = []
        for anchors in requests:
            started = time.perf_counter()
            rank(anchors)
            times.append(time.perf_counter() - started)
        p95s_us.append(float(np.percentile(times, 95)) * 1e6)

    p95s_us: list[float] = []
    benchmark.pedantic(round_of_calls, rounds=RUNS, warmup_rounds=1)
    assert min(p95s_us) < P95_BOUND_US
