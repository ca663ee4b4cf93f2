"""The native rank call beside the same neighbours added up and cut by numpy without any filter.

Each call has k = 20, 50 exclusions and a forbidden tag; ids are read back as strings. ``bare p95`` is the
same call without exclusions and tag, which is what the prototype did. Microseconds. Artifacts are written
as the cache of a service writes them.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from benches.synthetic_artifacts import cached, write_catalog, write_neighbours
from recsys import _native

T = TypeVar("T")
SIZES = ((100_000, 50), (1_000_000, 100))
ANCHORS = (1, 10, 50)
K = 20
CALLS = 2_000
# Kept from the prototype that this ranker replaces: p95 at 10 anchors, without filters.
PROTOTYPE_P95_US = {100_000: 11, 1_000_000: 31}


def main() -> None:
    """Print one line for each size and number of anchors."""
    columns = ("p50", "p95", "p99", "bare p95", "numpy p95", "ratio")
    print(f"{'items x neighbours':>20} {'anchors':>8} {''.join(f'{name:>10}' for name in columns)}")
    sizes = [size for size in SIZES if size[0] <= int(sys.argv[1])] if len(sys.argv) > 1 else SIZES
    for n_items, n_neighbours in sizes:
        with tempfile.TemporaryDirectory() as folder:
            bench(Path(folder), n_items, n_neighbours)


def bench(folder: Path, n_items: int, n_neighbours: int) -> None:
    """Write the artifacts of one size, and time both rankers on the same requests."""
    write_catalog(folder / "catalog", n_items)
    write_neighbours(folder / "cooc", folder / "catalog", n_neighbours)
    catalog = _native.Catalog.open(str(cached(folder / "catalog")))
    signal = _native.Signal.open(str(cached(folder / "cooc")))
    plan = _native.Plan(catalog, [_native.Source("cooc", signal, weight=1.0, weight_group="cooc")])
    rng = np.random.default_rng(2)
    excluded = [f"item-{i:08d}" for i in rng.integers(0, n_items, 50)]

    values = 1 / (1 + np.arange(n_neighbours))
    for n_anchors in ANCHORS:
        drawn = rng.integers(0, n_items, (CALLS, n_anchors))
        requests = [[f"item-{i:08d}" for i in row] for row in drawn]

        def rank(anchors: Sequence[str]) -> list[str]:
            return plan.rank(K, 0, anchors=anchors, exclude=excluded, forbidden_tags=["tag-007"]).item_ids

        def rank_bare(anchors: Sequence[str]) -> list[str]:
            return plan.rank(K, 0, anchors=anchors).item_ids

        # The lists are random, so random ones of the same shape cost the baseline what the real ones would.
        lists = [rng.integers(0, n_items, n_anchors * n_neighbours) for _ in range(100)]

        def bare(neighbours: NDArray[np.int64]) -> list[int]:
            items, positions = np.unique(neighbours, return_inverse=True)
            raw = np.bincount(positions, np.tile(values, len(neighbours) // len(values)))
            scores = raw / (1 + raw)
            best = np.argpartition(scores, -min(K, len(scores)))[-K:]
            return items[best[np.argsort(-scores[best])]].tolist()

        native = percentiles(rank, requests)
        unfiltered = percentiles(rank_bare, requests)
        baseline = percentiles(bare, lists * (CALLS // len(lists)))
        shape = f"{n_items:,} x {n_neighbours}"
        cells = "".join(f"{value:10.1f}" for value in (*native, unfiltered[1], baseline[1]))
        print(f"{shape:>20} {n_anchors:>8} {cells}{native[1] / baseline[1]:10.2f}")
    print(f"prototype without filters, p95 at 10 anchors: {PROTOTYPE_P95_US[n_items]} us")


def percentiles(call: Callable[[T], object], inputs: Sequence[T]) -> tuple[float, float, float]:
    """p50, p95 and p99 of one call, in microseconds, after a tenth of the inputs as warm-up."""
    for one in inputs[: len(inputs) // 10]:
        call(one)
    times = []
    for one in inputs:
        start = time.perf_counter_ns()
        call(one)
        times.append(time.perf_counter_ns() - start)
    p50, p95, p99 = np.percentile(times, [50, 95, 99]) / 1000
    return float(p50), float(p95), float(p99)


if __name__ == "__main__":
    main()
