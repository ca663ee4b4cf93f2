"""Requests in an experiment, explored lists and events, each beside plain requests of the same service.

One worker each, loaded in turn several times over; a ratio is to the mean of the plain loads around it.
Target: requests in an experiment, and requests of one event, keep nine tenths of the plain throughput, or of
what the service answers in a second of its own processor time, which other programs of the machine disturb
less. Needs wrk.
"""

from __future__ import annotations

import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import psutil
from benches.http.bench_http import BODY, REPORT, running_recsys, write_data

from recsys.control import experiments
from recsys.control.plane import ControlPlane

CONNECTIONS = 16
ROUNDS = 11
DURATION_S = 1
MIN_THROUGHPUT = 0.9
EXPLORATION = {"method": "plackett_luce", "temperature": 0.5, "fixed_prefix": 2}
EXPERIMENT = {
    "id": "bench",
    "surface": "home",
    "arms": [{"name": "control"}, {"name": "same"}],
    "primary_metric": {"name": "ctr"},
    "guardrails": [{"metric": "empty_list_rate", "margin": 0.01}],
    "rollback": {"to": "current"},
}
# Each request has a user, and each event a content, of its own.
SCRIPT = """
wrk.method = 'POST'
wrk.headers['content-type'] = 'application/json'
local n, body = 0, [[{body}]]
request = function()
  n = n + 1
  return wrk.format(nil, nil, nil, (body:gsub('NUMBER', {seed} + n)))
end
"""


def main() -> int:
    """Print throughputs and ratios; return 1 when one with a target misses it."""
    if shutil.which("wrk") is None:
        print("wrk is missing: install it (Debian: apt-get install wrk)", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as name:
        plain, tried, explored = (Path(name) / folder for folder in ("plain", "tried", "explored"))
        for folder in (plain, tried, explored):
            folder.mkdir()
            write_data(folder)
        _start_experiment(tried)
        _explore(explored)
        with (
            running_recsys(plain) as plain_url,
            running_recsys(tried) as tried_url,
            running_recsys(explored) as explored_url,
        ):
            body = BODY | {"user": {"user_id": "uNUMBER"}}
            base = (plain_url, "/v1/recommend", body)
            cases = {
                "in an experiment": ((tried_url, "/v1/recommend", body), MIN_THROUGHPUT),
                "explored": ((explored_url, "/v1/recommend", body), None),
                "one event": ((plain_url, "/v1/events", {"outcomes": _events(1)}), MIN_THROUGHPUT),
                "a hundred events": ((plain_url, "/v1/events", {"outcomes": _events(100)}), None),
            }
            return _compare(Path(name), base, cases)


def _compare(
    folder: Path,
    base: tuple[str, str, dict[str, object]],
    cases: dict[str, tuple[tuple[str, str, dict[str, object]], float | None]],
) -> int:
    is_met = True
    print(f"{CONNECTIONS} connections, medians of {ROUNDS} rounds; in brackets the least and greatest ratio")
    print(f"{'requests':>18} {'a second':>9} {'plain':>7} {'ratio':>21} {'a CPU second':>13} {'ratio':>21}")
    for case, (load, target) in cases.items():
        plains, ours = [_load(folder, *base)], []
        for _ in range(ROUNDS):
            ours.append(_load(folder, *load))
            plains.append(_load(folder, *base))
        told, medians = [], []
        for measure in range(2):
            neighbours = [statistics.mean((one[measure], other[measure])) for one, other in pairwise(plains)]
            ratios = sorted(one[measure] / plain for one, plain in zip(ours, neighbours, strict=True))
            medians.append(statistics.median(ratios))
            rate = statistics.median(one[measure] for one in ours)
            told.append((rate, f"{medians[-1]:.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"))
        is_met &= target is None or max(medians) >= target
        (rate, ratio), (cpu_rate, cpu_ratio) = told
        plain = statistics.median(one for one, _ in plains)
        print(
            f"{case:>18} {rate:>9.0f} {plain:>7.0f} {ratio:>21} {cpu_rate:>13.0f} {cpu_ratio:>21}", flush=True
        )
    print(f"target (in an experiment and one event >= {MIN_THROUGHPUT}): {'met' if is_met else 'missed'}")
    return 0 if is_met else 1


_loads = iter(range(1, 1_000_000))


def _load(folder: Path, url: str, path: str, body: dict[str, object]) -> tuple[float, float]:
    """Return requests a second, and a second of the service's processor time."""
    script = folder / "load.lua"
    seed = next(_loads) * 10_000_000
    script.write_text(SCRIPT.replace("{body}", json.dumps(body)).replace("{seed}", str(seed)) + REPORT)
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{DURATION_S}s", "-s", str(script), f"{url}{path}"]
    before_s = _cpu_s(url)
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"RESULT (\S+) (\S+) (\S+) (\d+)", output)
    if found is None or found[4] != "0":
        raise RuntimeError(f"wrk did not measure {url}{path}: {output}")
    rate = float(found[1])
    return rate, rate * DURATION_S / (_cpu_s(url) - before_s)


def _cpu_s(url: str) -> float:
    """Return the processor time of the service at ``url``, all of its processes."""
    port = url.rpartition(":")[2]
    (server,) = (child for child in psutil.Process().children() if port in child.cmdline())
    times = [process.cpu_times() for process in (server, *server.children(recursive=True))]
    return sum(one.user + one.system for one in times)


def _events(count: int) -> list[dict[str, str]]:
    ts = datetime.now(UTC).isoformat()
    common = {"user_id": "uNUMBER", "event_type": "click", "ts": ts}
    return [
        {"request_id": f"rNUMBER-{place}", "item_id": f"item-{place:05}"} | common for place in range(count)
    ]


def _start_experiment(folder: Path) -> None:
    plane = ControlPlane.open(folder / "control")
    experiments.create_experiment(plane, "demo", EXPERIMENT, author="bench")
    experiments.start_experiment(plane, "demo", "bench", now=datetime.now(UTC), author="bench")
    plane.close()


def _explore(folder: Path) -> None:
    plane = ControlPlane.open(folder / "control")
    config = {"defaults": {"exploration": EXPLORATION}}
    plane.put("demo", "config", json.dumps(config).encode(), author="bench")
    plane.close()


if __name__ == "__main__":
    sys.exit(main())
