"""Latency and memory of requests while the release is swapped every 100 ms, beside the same load without.

Five releases of 200,000 items take turns by a move of the pointer. The target: no failed request, p99 at most
twice that of the quiet load, memory flat. The quiet load is measured before and after. Needs wrk.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

import psutil
from benches.http.bench_http import running_recsys
from benches.http.bench_swap import BODY, N_ITEMS, REPORT, load
from benches.synthetic_artifacts import write_catalog, write_neighbours

from recsys.artifacts.publish import publish_release
from recsys.artifacts.registry import Registry, open_registry
from recsys.control.plane import ControlPlane
from recsys.pilot.metrics_text import MetricsText

DURATION_S = 60
QUIET_S = 20
INTERVAL_S = 0.1
MAX_P99 = 2.0
MAX_MEMORY = 1.1


def main() -> int:
    """Print both, with ratios; return 1 when a target is missed."""
    if shutil.which("wrk") is None:
        print("wrk is missing: install it (Debian: apt-get install wrk)", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        registry, versions = _prepare(folder)
        script = folder / "post.lua"
        script.write_text(
            f"wrk.method = 'POST'\nwrk.body = [[{json.dumps(BODY)}]]\n"
            f"wrk.headers['content-type'] = 'application/json'\n{REPORT}"
        )
        with running_recsys(folder) as url:
            load(script, url, 2)
            before = load(script, url, QUIET_S)
            swaps = _Swaps(registry, versions, url)
            swapped = load(script, url, DURATION_S)
            n_moves, n_seen, memory = swaps.stop()
            after = load(script, url, QUIET_S)
    quiet = [(first + last) / 2 for first, last in zip(before, after, strict=True)]
    print(f"{n_moves} moves of the pointer in {DURATION_S} s, {n_seen} swaps seen; no request failed")
    for label, base, ours in zip(("requests/s", "p50 us", "p99 us", "max us"), quiet, swapped, strict=True):
        print(f"{label:>10} {ours:>9.0f} {base:>9.0f} without swaps, ratio {ours / base:.2f}")
    print(
        f" memory MB {memory[-1] / 1e6:>9.1f} {memory[0] / 1e6:>9.1f} after 10 s, "
        f"ratio {memory[-1] / memory[0]:.2f}"
    )
    is_met = swapped[2] <= MAX_P99 * quiet[2] and memory[-1] <= MAX_MEMORY * memory[0]
    print(f"targets (p99 <= {MAX_P99:g}, memory <= {MAX_MEMORY:g}): {'met' if is_met else 'missed'}")
    return 0 if is_met else 1


def _prepare(folder: Path) -> tuple[Registry, list[str]]:
    registry = open_registry(folder / "registry")
    write_catalog(folder / "catalog", N_ITEMS)
    versions = []
    for n_neighbours in range(18, 23):
        write_neighbours(folder / f"cooc-{n_neighbours}", folder / "catalog", n_neighbours)
        files = {"catalog": folder / "catalog", "cooc": folder / f"cooc-{n_neighbours}"}
        versions.append(publish_release(registry, "demo", "home", files).version)
    plane = ControlPlane.open(folder / "control")
    plane.create_tenant("demo", actor="bench")
    plane.close()
    return registry, [version for version in versions if version is not None]


class _Swaps:
    """Moves the pointer until it is stopped, and looks at the memory of the service."""

    def __init__(self, registry: Registry, versions: list[str], url: str) -> None:
        self._registry, self._versions, self._url = registry, versions, url
        self._processes = psutil.Process().children(recursive=True)
        self._done = threading.Event()
        self._moves = 0
        self._memory: list[int] = []
        self._compiled: set[float] = set()
        self._thread = threading.Thread(target=self._swap)
        self._thread.start()

    def stop(self) -> tuple[int, int, list[int]]:
        """Return the moves made, the swaps of the service, and its private memory: after 10 s, and now."""
        self._done.set()
        self._thread.join()
        self._memory.append(self._private_bytes())
        return self._moves, len(self._compiled), self._memory

    def _swap(self) -> None:
        began = time.monotonic()
        while not self._done.wait(max(0.0, began + (self._moves + 1) * INTERVAL_S - time.monotonic())):
            self._registry.roll_back("demo", "home", to=self._versions[self._moves % len(self._versions)])
            self._moves += 1
            self._compiled.add(self._compiled_at())
            if not self._memory and time.monotonic() - began > 10:
                self._memory.append(self._private_bytes())

    def _private_bytes(self) -> int:
        return sum(
            p.memory_full_info().uss for p in self._processes if p.is_running() and "wrk" not in p.name()
        )

    def _compiled_at(self) -> float:
        with urllib.request.urlopen(f"{self._url}/metrics", timeout=5) as answer:
            return MetricsText(answer.read().decode()).total("recsys_snapshot_compiled_timestamp_seconds")


if __name__ == "__main__":
    sys.exit(main())
