"""Latency and memory of requests while the release is swapped every 100 ms, beside the same load without.

Five releases of 200,000 items take turns by a move of the pointer, entered in the audit trail as the command
line does it. What was served is counted from the responses: a swap is a version that neither of the two
before it was. The target: no failed request, p99 at most twice that of the quiet load, memory flat, and nine
of ten moves served. The quiet load is measured before and after. Needs wrk.

``python -m benches.http.bench_release_swap [--seconds 60]``
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

import psutil
from benches.http.bench_http import running_recsys
from benches.http.bench_swap import BODY, CONNECTIONS, N_ITEMS
from benches.synthetic_artifacts import write_catalog, write_neighbours

from recsys.artifacts.publish import publish_release
from recsys.artifacts.registry import Registry, open_registry
from recsys.control.plane import ControlPlane

QUIET_S = 20
INTERVAL_S = 0.1
MAX_P99 = 2.0
MAX_MEMORY = 1.1
MIN_SERVED = 0.9
SCRIPT = """
wrk.method = 'POST'
wrk.body = [[%s]]
wrk.headers['content-type'] = 'application/json'
local threads = {}
function setup(thread) table.insert(threads, thread) end
function init() current, previous, swaps, other = '', '', 0, 0 end
function response(status, headers, body)
  local version = string.match(body, '"manifest_version":"(%%x+)"')
  if status ~= 200 or version == nil then other = other + 1
  elseif version ~= current and version ~= previous then
    previous, current, swaps = current, version, swaps + 1
  end
end
function done(summary, latency, requests)
  local swaps, bad = 0, 0
  for _, thread in ipairs(threads) do
    swaps, bad = swaps + thread:get('swaps'), bad + thread:get('other')
  end
  bad = bad + summary.errors.read + summary.errors.connect + summary.errors.timeout
  io.write(string.format('RESULT %%f %%f %%f %%f %%d %%d\\n', summary.requests / summary.duration * 1e6,
    latency:percentile(50), latency:percentile(99), latency.max, swaps, bad))
end
"""


class Load(NamedTuple):
    """Requests a second, latencies in microseconds, and how often the version that is served has changed."""

    requests_s: float
    p50_us: float
    p99_us: float
    max_us: float
    swaps: int


def main() -> int:
    """Print both, with ratios; return 1 when a target is missed."""
    options = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    options.add_argument("--seconds", type=int, default=60)
    seconds: int = options.parse_args().seconds
    if shutil.which("wrk") is None:
        print("wrk is missing: install it (Debian: apt-get install wrk)", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        registry, versions = _prepare(folder)
        script = folder / "post.lua"
        script.write_text(SCRIPT % json.dumps(BODY))
        with running_recsys(folder) as url:
            _load(script, url, 2)
            before = _load(script, url, min(seconds, QUIET_S))
            swaps = _Swaps(registry, versions, folder / "control")
            swapped = _load(script, url, seconds)
            n_moves, memory = swaps.stop()
            after = _load(script, url, min(seconds, QUIET_S))
    print(
        f"{n_moves} moves of the pointer in {seconds} s, {swapped.swaps} swaps seen in responses; "
        "no request failed"
    )
    quiet_p99 = (before.p99_us + after.p99_us) / 2
    labels = ("requests/s", "p50 us", "p99 us", "max us")
    for label, first, ours, last in zip(labels, before[:4], swapped[:4], after[:4], strict=True):
        quiet = (first + last) / 2
        print(f"{label:>10} {ours:>9.0f} {quiet:>9.0f} without swaps, ratio {ours / quiet:.2f}")
    print(
        f" memory MB {memory[-1] / 1e6:>9.1f} {memory[0] / 1e6:>9.1f} after a sixth of it, "
        f"ratio {memory[-1] / memory[0]:.2f}"
    )
    is_met = (
        swapped.p99_us <= MAX_P99 * quiet_p99
        and memory[-1] <= MAX_MEMORY * memory[0]
        and swapped.swaps >= MIN_SERVED * n_moves
    )
    targets = f"p99 <= {MAX_P99:g}, memory <= {MAX_MEMORY:g}, {MIN_SERVED:.0%} of moves served"
    print(f"targets ({targets}): {'met' if is_met else 'missed'}")
    return 0 if is_met else 1


def _load(script: Path, url: str, seconds: int) -> Load:
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(script), f"{url}/v1/recommend"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"RESULT (\S+) (\S+) (\S+) (\S+) (\d+) (\d+)", printed)
    if found is None or found[6] != "0":
        raise RuntimeError(printed)
    requests_s, p50_us, p99_us, max_us = (float(value) for value in found.groups()[:4])
    return Load(requests_s, p50_us, p99_us, max_us, int(found[5]))


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

    def __init__(self, registry: Registry, versions: list[str], control: Path) -> None:
        self._registry, self._versions = registry, versions
        self._plane = ControlPlane.open(control)
        self._processes = psutil.Process().children(recursive=True)
        self._done = threading.Event()
        self._moves = 0
        self._memory: list[int] = []
        self._thread = threading.Thread(target=self._swap)
        self._thread.start()

    def stop(self) -> tuple[int, list[int]]:
        """Return the moves made, and the private memory of the service, once a second."""
        self._done.set()
        self._thread.join()
        self._plane.close()
        memory = self._memory[len(self._memory) // 6 :]
        return self._moves, [*memory, self._private_bytes()]

    def _swap(self) -> None:
        began = time.monotonic()
        while not self._done.wait(max(0.0, began + (self._moves + 1) * INTERVAL_S - time.monotonic())):
            to = self._versions[self._moves % len(self._versions)]
            self._registry.roll_back("demo", "home", to=to)
            self._plane.record_change(
                "demo", actor="bench", action="release.rollback", subject="home", before=None, after=to
            )
            self._moves += 1
            if self._moves % round(1 / INTERVAL_S) == 0:
                self._memory.append(self._private_bytes())

    def _private_bytes(self) -> int:
        return sum(
            p.memory_full_info().uss for p in self._processes if p.is_running() and "wrk" not in p.name()
        )


if __name__ == "__main__":
    sys.exit(main())
