"""Session nearest neighbours: the native call beside numpy, and requests over HTTP with two workers.

``python -m benches.bench_session_knn [--sessions N] [--seconds S]``: by default 1 million sessions of 2 to
30 of 100 thousand items, drawn by Zipf's law with exponent 1.05. The two settings are those of VMIS-kNN's
own evaluation: m = 500 recent sessions and k = 50 neighbours for the last 2 items, m = 1502 and k = 288 for
the last 4. The baseline searches the same sessions with numpy; both must give the same lists. Over HTTP
each of 16 connections of wrk sends current sessions of its own; exposures are logged. wrk, the service and
whatever else the machine does share its cores.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benches.http.bench_http import running_recsys
from recsys import _native
from recsys.artifacts.publish import publish_release
from recsys.artifacts.registry import open_registry
from recsys.control.plane import ControlPlane

N_ITEMS = 100_000
EXPONENT = 1.05
LONGEST = 30
K = 20
CALLS = 3_000
CHECKED = 50
WORKERS = 2
CONNECTIONS = 16
IDS = [f"item-{number:06}" for number in range(N_ITEMS)]
SCRIPT = """
wrk.method = 'POST'
wrk.headers['content-type'] = 'application/json'
local bodies = {}
for line in io.lines(%s) do bodies[#bodies + 1] = line end
local at = 0
request = function()
  at = at %% #bodies + 1
  return wrk.format(nil, nil, nil, bodies[at])
end
done = function(summary, latency, requests)
  local bad = summary.errors.status + summary.errors.read + summary.errors.connect + summary.errors.timeout
  io.write(string.format("RESULT %%f %%f %%f %%f %%d\\n", summary.requests / summary.duration * 1e6,
    latency:percentile(50), latency:percentile(90), latency:percentile(99), bad))
end
"""


class Setting(NamedTuple):
    """How sessions are searched, and the target over HTTP."""

    recent_sessions: int
    neighbors: int
    last_items: int
    requests_per_s: int
    p90_ms: float


SETTINGS = (Setting(500, 50, 2, 13_000, 1.8), Setting(1502, 288, 4, 4_000, 5.0))


class Sessions(NamedTuple):
    """Distinct items of sessions, latest session first: session i has ``items[ends[i]:ends[i + 1]]``."""

    items: NDArray[np.uint32]
    ends: NDArray[np.int64]

    def of(self, number: int) -> NDArray[np.uint32]:
        """Return the items of a session."""
        return self.items[self.ends[number] : self.ends[number + 1]]


def draw_items(count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw items by Zipf's law; how popular one is says nothing of its place in the catalog."""
    weights = np.arange(1, N_ITEMS + 1) ** -EXPONENT
    ranks = np.searchsorted(np.cumsum(weights) / weights.sum(), rng.random(count))
    return np.random.default_rng(0).permutation(N_ITEMS)[np.minimum(ranks, N_ITEMS - 1)]


def draw_requests(count: int) -> list[list[int]]:
    """Draw current sessions: distinct items, latest first."""
    drawn = draw_items(count * LONGEST, np.random.default_rng(2)).reshape(count, LONGEST)
    return [list(dict.fromkeys(row.tolist())) for row in drawn]


def draw_sessions(count: int) -> Sessions:
    """Draw sessions of 2 to 30 events; one that has an item twice is shorter, one of one item left out."""
    rng = np.random.default_rng(1)
    lengths = rng.integers(2, LONGEST + 1, count)
    pairs = np.unique(np.repeat(np.arange(count), lengths) * N_ITEMS + draw_items(lengths.sum(), rng))
    sessions, kept = np.divmod(pairs, N_ITEMS)
    sizes = np.bincount(sessions, minlength=count)
    is_kept = sizes > 1
    ends = np.concatenate(([0], np.cumsum(sizes[is_kept])))
    return Sessions(kept[np.repeat(is_kept, sizes)].astype(np.uint32), ends)


def build_index(sessions: Sessions, folder: Path) -> _native.SessionIndex:
    """Write the catalog and the index of ``sessions``."""
    _native.build_catalog(str(folder / "catalog"), IDS)
    catalog = _native.Catalog.open(str(folder / "catalog"))
    builder = _native.SessionKnnBuilder(catalog, memory_bytes=1 << 30, scratch_dir=str(folder))
    numbers = np.repeat(np.arange(len(sessions.ends) - 1), np.diff(sessions.ends))
    started = time.perf_counter()
    weights = np.ones(len(numbers), np.float32)
    builder.push(numbers.astype(np.uint64).data, sessions.items.data, (-numbers).data, weights.data)
    builder.finish(str(folder / "session_knn"))
    size = (folder / "session_knn").stat().st_size
    print(
        f"{len(sessions.ends) - 1:,} sessions, {len(sessions.items):,} entries: "
        f"built in {time.perf_counter() - started:.1f} s, {size / 1e6:.0f} MB"
    )
    return _native.SessionIndex.open(str(folder / "session_knn"))


class Numpy:
    """The same search, straightforwardly."""

    def __init__(self, sessions: Sessions, most: int) -> None:
        self._sessions = sessions
        numbers = np.repeat(np.arange(len(sessions.ends) - 1), np.diff(sessions.ends))
        order = np.argsort(sessions.items, kind="stable")
        self._numbers = numbers[order]
        counts = np.bincount(sessions.items, minlength=N_ITEMS)
        self._starts = np.concatenate(([0], np.cumsum(counts)))
        self._most = most
        self._idf = np.log((len(sessions.ends) - 1) / np.maximum(counts, 1))

    def rank(self, current: Sequence[int], setting: Setting) -> NDArray[np.uint32]:
        """Return the best items for the session ``current``, latest first."""
        count = len(current)
        starts = [self._starts[item] for item in current]
        ends = [self._starts[item + 1] for item in current]
        lists = [
            self._numbers[start : min(end, start + self._most)]
            for start, end in zip(starts, ends, strict=True)
        ]
        found, inverse = np.unique(np.concatenate(lists), return_inverse=True)
        places = np.repeat(np.arange(count), [len(one) for one in lists])
        similarity = np.bincount(inverse, count - places)[: setting.recent_sessions]
        latest = np.full(len(found), count)
        np.minimum.at(latest, inverse, places)
        chosen = np.lexsort((np.arange(len(similarity)), -similarity))[: setting.neighbors]
        votes = similarity[chosen] * (9 - latest[chosen])
        taken = [self._sessions.of(number) for number in found[chosen]]
        items, positions = np.unique(np.concatenate(taken), return_inverse=True)
        total = np.bincount(positions, np.repeat(votes, [len(one) for one in taken]))
        scores = total / (10 * count) * self._idf[items]
        scores[np.isin(items, current)] = -1
        return items[np.lexsort((items, -scores))[:K]]


def bench_calls(
    folder: Path, index: _native.SessionIndex, sessions: Sessions, requests: list[list[int]]
) -> None:
    """Print percentiles of the native call and of numpy for each setting."""
    catalog = _native.Catalog.open(str(folder / "catalog"))
    baseline = Numpy(sessions, index.sessions_per_item)
    print(f"\n{'m, k, last items':>20} {'p50 us':>8} {'p90':>8} {'p99':>8} {'numpy p90':>10} {'ratio':>6}")
    for setting in SETTINGS:
        source = _native.Source.of_sessions(
            "session_knn",
            index,
            recent_sessions=setting.recent_sessions,
            neighbors=setting.neighbors,
            last_items=setting.last_items,
            weight=1.0,
            weight_group="cooc",
        )
        plan = _native.Plan(catalog, [source])
        current = [one[: setting.last_items] for one in requests]
        named = [[IDS[item] for item in one] for one in current]
        for one, ids in list(zip(current, named, strict=True))[:CHECKED]:
            assert plan.rank(K, 0, anchors=ids).item_ids == [IDS[i] for i in baseline.rank(one, setting)]
        ours = percentiles(lambda ids, plan=plan: plan.rank(K, 0, anchors=ids).item_ids, named)
        base = percentiles(lambda one, s=setting: baseline.rank(one, s), current[: CALLS // 10])
        shape = f"{setting.recent_sessions}, {setting.neighbors}, {setting.last_items}"
        cells = " ".join(f"{value:8.1f}" for value in ours)
        print(f"{shape:>20} {cells} {base[1]:10.1f} {base[1] / ours[1]:6.1f}", flush=True)


def percentiles(call: Callable[..., object], inputs: Sequence[object]) -> tuple[float, float, float]:
    """Return p50, p90 and p99 of one call in microseconds, after a tenth of the inputs as warm-up."""
    for one in inputs[: len(inputs) // 10]:
        call(one)
    times = []
    for one in inputs:
        started = time.perf_counter_ns()
        call(one)
        times.append((time.perf_counter_ns() - started) / 1000)
    p50, p90, p99 = np.percentile(times, [50, 90, 99])
    return float(p50), float(p90), float(p99)


def bench_http(folder: Path, requests: list[list[int]], seconds: int) -> bool:
    """Print throughput and latency over HTTP for each setting; return whether all targets are met."""
    plane = ControlPlane.open(folder / "control")
    plane.create_tenant("demo", actor="bench")
    files = {kind: folder / kind for kind in ("catalog", "session_knn")}
    publish_release(open_registry(folder / "registry"), "demo", "home", files)
    print(f"\n{'m, k, last items':>20} {'requests/s':>10} {'p50 ms':>7} {'p90':>7} {'p99':>7}   target")
    is_met = True
    for setting in SETTINGS:
        search = {name: getattr(setting, name) for name in ("recent_sessions", "neighbors", "last_items")}
        config = {"defaults": {"mode": "session_knn", "session_knn": search}}
        plane.put("demo", "config", json.dumps(config).encode(), author="bench")
        bodies = [_body(one[: setting.last_items]) for one in requests]
        (folder / "bodies.jsonl").write_text("\n".join(bodies) + "\n")
        (folder / "post.lua").write_text(SCRIPT % json.dumps(str(folder / "bodies.jsonl")))
        with running_recsys(folder, "--pin-workers", workers=WORKERS) as url:
            _load(folder, url, 2)
            rate, p50, p90, p99 = _load(folder, url, seconds)
        here = rate >= setting.requests_per_s and p90 <= setting.p90_ms
        is_met &= here
        shape = f"{setting.recent_sessions}, {setting.neighbors}, {setting.last_items}"
        print(
            f"{shape:>20} {rate:10.0f} {p50:7.2f} {p90:7.2f} {p99:7.2f}   "
            f"{setting.requests_per_s:,} and {setting.p90_ms} ms: {'met' if here else 'missed'}",
            flush=True,
        )
    plane.close()
    return is_met


def _body(current: list[int]) -> str:
    anchors = {"item_ids": [IDS[item] for item in current]}
    fields = {"surface": "home", "segment": "default", "k": K, "user": {"user_id": "u1"}, "anchors": anchors}
    return json.dumps(fields)


def _load(folder: Path, url: str, seconds: int) -> tuple[float, float, float, float]:
    """Return requests a second, and p50, p90 and p99 in milliseconds."""
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(folder / "post.lua")]
    output = subprocess.run([*command, f"{url}/v1/recommend"], capture_output=True, text=True, check=True)
    words = output.stdout.rpartition("RESULT ")[2].split()
    if len(words) != 5 or words[4] != "0":
        raise RuntimeError(f"wrk did not measure {url}: {output.stdout}{output.stderr}")
    rate, p50, p90, p99 = map(float, words[:4])
    return rate, p50 / 1000, p90 / 1000, p99 / 1000


def main() -> int:
    """Build, time calls, then load the service; return 1 where a target is missed."""
    options = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    options.add_argument("--sessions", type=int, default=1_000_000)
    options.add_argument("--seconds", type=int, default=10)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="recsys-knn-") as name:
        folder = Path(name)
        sessions, requests = draw_sessions(chosen.sessions), draw_requests(CALLS)
        index = build_index(sessions, folder)
        bench_calls(folder, index, sessions, requests)
        del sessions, index
        if shutil.which("wrk") is None:
            print("wrk is missing: install it (Debian: apt-get install wrk)", file=sys.stderr)
            return 1
        return 0 if bench_http(folder, requests, chosen.seconds) else 1


if __name__ == "__main__":
    sys.exit(main())
