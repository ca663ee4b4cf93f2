"""The rank calls that walk far down a list, beside a plain one: blend, boosts, filled caps, tags in the way.

A million items, all of them on the popularity list; 10 anchors with 10 neighbours each, or none; k = 20.
Microseconds, and the ratio of each median to that of the plain call of the same round.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benches.synthetic_artifacts import write_neighbours
from recsys import _native

N_ITEMS = 1_000_000
N_NEIGHBOURS = 10
ROUNDS = 3
K = 20
# A call of this many microseconds is not repeated as often as a short one.
LONG_US = 5_000

Rank = Callable[[list[str]], _native.Ranked]


def main() -> None:
    """Print a line for each kind of call."""
    with tempfile.TemporaryDirectory() as folder:
        calls = make_calls(Path(folder))
        rng = np.random.default_rng(3)
        requests = [[f"item-{i:08d}" for i in row] for row in rng.integers(0, N_ITEMS, (300, 10))]
        print(f"{'call':>60} {'p50':>10} {'p95':>10} {'ratio':>8}")
        times: dict[str, list[float]] = {name: [] for name in calls}
        ratios: dict[str, list[float]] = {name: [] for name in calls}
        for _ in range(ROUNDS):
            medians = {}
            for name, rank in calls.items():
                taken = time_calls(rank, requests)
                times[name] += taken
                medians[name] = statistics.median(taken)
                ratios[name].append(medians[name] / next(iter(medians.values())))
        for name, taken in times.items():
            p50, p95 = np.percentile(taken, [50, 95])
            print(f"{name:>60} {p50:>10.1f} {p95:>10.1f} {statistics.median(ratios[name]):>8.1f}")


def time_calls(rank: Rank, requests: list[list[str]]) -> list[float]:
    """Return the microseconds of each call; of few calls when they are long."""
    taken: list[float] = []
    rank(requests[0])
    for anchors in requests:
        started = time.perf_counter_ns()
        rank(anchors)
        taken.append((time.perf_counter_ns() - started) / 1000)
        if sum(taken) > LONG_US * 20:
            break
    return taken


def make_calls(folder: Path) -> dict[str, Rank]:
    """Write the artifacts; return the calls by name, the plain one first."""
    ids = [f"item-{i:08d}" for i in range(N_ITEMS)]
    rng = np.random.default_rng(1)
    order = rng.permutation(N_ITEMS)
    # By place on the popularity list: the first half is of one brand and has the tag "front", the last
    # 5,000 have the tag "back".
    place = np.empty(N_ITEMS, dtype=np.int64)
    place[order] = np.arange(N_ITEMS)
    n_front, n_back = N_ITEMS // 2, 5_000
    _native.build_catalog(
        str(folder / "catalog"),
        ids,
        tags=[["front"] if p < n_front else ["back"] if p >= N_ITEMS - n_back else [] for p in place],
        brands=["one" if p < n_front else f"brand-{p % 1000}" for p in place],
    )
    catalog = _native.Catalog.open(str(folder / "catalog"))
    packer = _native.SignalPacker(catalog, kind="popularity", key_type="segment")
    packer.push("default", [ids[i] for i in order], (1e6 / (1 + np.arange(N_ITEMS)) ** 0.8).tolist())
    packer.finish(str(folder / "popularity"))
    write_neighbours(folder / "cooc", folder / "catalog", N_NEIGHBOURS)
    popularity = _native.Signal.open(str(folder / "popularity"))
    cooc = _native.Signal.open(str(folder / "cooc"))

    def plan(
        *, boosts: list[tuple[str, list[str], float]] | None = None, brand_cap: int | None = None
    ) -> _native.Plan:
        sources = [
            _native.Source("popularity", popularity, key="default", weight=1.0, weight_group="pop"),
            _native.Source("cooc", cooc, weight=1.0, weight_group="cooc"),
        ]
        rules = _native.RuleSet(catalog, boosts=boosts or [])
        return _native.Plan(catalog, sources, rules=rules, brand_cap=brand_cap)

    plain = _native.Plan(catalog, [_native.Source("cooc", cooc, weight=1.0, weight_group="cooc")])
    tail = [ids[i] for i in order[-20_000:]]
    blend, capped = plan(), plan(brand_cap=5)
    few, many = plan(boosts=[("few", tail[:1000], 3.0)]), plan(boosts=[("many", tail, 3.0)])
    return {
        "co-visitation, no popularity": lambda anchors: plain.rank(K, 0, anchors=anchors),
        "blend with a popularity list of all items": lambda anchors: blend.rank(K, 0, anchors=anchors),
        "blend, 1,000 unpopular items boosted threefold": lambda anchors: few.rank(K, 0, anchors=anchors),
        "blend, 20,000 unpopular items boosted threefold": lambda anchors: many.rank(K, 0, anchors=anchors),
        "blend, no anchors, at most 5 of the brand of the first half": lambda _: capped.rank(K, 0),
        "blend, no anchors, the tag of the first half forbidden": lambda _: blend.rank(
            K, 0, forbidden_tags=["front"]
        ),
        "blend, a tag of the last 5,000 required": lambda anchors: blend.rank(
            K, 0, anchors=anchors, required_tags=["back"]
        ),
    }


if __name__ == "__main__":
    main()
