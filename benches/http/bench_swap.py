"""Latency of requests while rules are swapped twice a second, beside the same load without a swap.

200,000 items; each version of the rules has 200 rules over tags, brands, categories and single items, which a
swap resolves in the worker that serves. Needs wrk.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from benches.http.bench_http import running_recsys
from benches.synthetic_artifacts import write_catalog, write_neighbours

from recsys.artifacts.publish import publish_release
from recsys.artifacts.registry import open_registry
from recsys.control.plane import ControlPlane

N_ITEMS = 200_000
N_RULES = 200
CONNECTIONS = 4
DURATION_S = 8
SWAP_INTERVAL_S = 0.5
BODY = {
    "surface": "home",
    "segment": "default",
    "user": {"user_id": "u1"},
    "anchors": {"item_ids": ["item-00000001"]},
}
REPORT = """
done = function(summary, latency, requests)
  local bad = summary.errors.status + summary.errors.read + summary.errors.connect + summary.errors.timeout
  io.write(string.format("RESULT %f %f %f %f %d\\n", summary.requests / summary.duration * 1e6,
    latency:percentile(50), latency:percentile(99), latency.max, bad))
end
"""


def main() -> int:
    """Print throughput, median, p99 and maximum of both, and their ratios."""
    if shutil.which("wrk") is None:
        print("wrk is missing: install it (Debian: apt-get install wrk)", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plane = _prepare(folder)
        script = folder / "post.lua"
        script.write_text(
            f"wrk.method = 'POST'\nwrk.body = [[{json.dumps(BODY)}]]\n"
            f"wrk.headers['content-type'] = 'application/json'\n{REPORT}"
        )
        with running_recsys(folder) as url:
            load(script, url, 2)
            still = load(script, url, DURATION_S)
            swapped, n_swaps = _while_swapping(plane, lambda: load(script, url, DURATION_S))
        plane.close()
    print(f"{n_swaps} swaps in {DURATION_S} s, {CONNECTIONS} connections")
    names = ("requests/s", "p50 us", "p99 us", "max us")
    for label, base, ours in zip(names, still, swapped, strict=True):
        print(f"{label:>10} {ours:>9.0f} {base:>9.0f} without swaps, ratio {ours / base:.2f}")
    return 0


def _prepare(folder: Path) -> ControlPlane:
    write_catalog(folder / "catalog", N_ITEMS)
    write_neighbours(folder / "cooc", folder / "catalog", 20)
    files = {kind: folder / kind for kind in ("catalog", "cooc")}
    publish_release(open_registry(folder / "registry"), "demo", "home", files)
    plane = ControlPlane.open(folder / "control")
    plane.create_tenant("demo", actor="bench")
    for version in range(2):
        plane.put("demo", "rules", json.dumps(_rules(version)).encode(), author="bench")
    return plane


def _rules(version: int) -> list[dict[str, object]]:
    """Return rules that name tags, brands, categories and items in turn."""
    targets: list[Callable[[int], tuple[str, str]]] = [
        lambda i: ("TAG", f"tag-{i % 500:03d}"),
        lambda i: ("BRAND", f"brand-{i % 2000:04d}"),
        lambda i: ("CATEGORY", f"category-{i % 60:02d}"),
        lambda i: ("ITEM", f"item-{i * 37 % N_ITEMS:08d}"),
    ]
    rules: list[dict[str, object]] = []
    for number in range(N_RULES):
        target_type, key = targets[number % 4](number)
        boost = 0.1 + version / 10
        rules.append(
            {
                "rule_id": f"r{number}",
                "action": "BOOST",
                "target_type": target_type,
                "target_key": key,
                "boost": boost,
            }
        )
    return rules


def _while_swapping(plane: ControlPlane, work: Callable[[], list[float]]) -> tuple[list[float], int]:
    versions = [revision.version for revision in plane.history("demo", "rules")]
    done, n_swaps = threading.Event(), 0

    def swap() -> None:
        nonlocal n_swaps
        while not done.wait(SWAP_INTERVAL_S):
            plane.roll_back("demo", "rules", author="bench", to=versions[n_swaps % 2])
            n_swaps += 1

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        return work(), n_swaps
    finally:
        done.set()
        thread.join()


def load(script: Path, url: str, seconds: int) -> list[float]:
    """Return requests a second, and median, p99 and maximum in microseconds; raises when one failed."""
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(script), f"{url}/v1/recommend"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"RESULT (\S+) (\S+) (\S+) (\S+) (\d+)", printed)
    if found is None or found[5] != "0":
        raise RuntimeError(printed)
    return [float(value) for value in found.groups()[:4]]


if __name__ == "__main__":
    sys.exit(main())
