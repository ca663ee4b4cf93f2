"""HTTP path of one worker against a bare granian RSGI echo of the same bodies: throughput and latency ratios.

The echo is bare: granian as it comes, on asyncio. A second one runs on the loop of the service, and tells how
much of a ratio is the loop's.

Two services are measured: in development mode, and with all that production has: an API key, rules, rate
limits (high enough to refuse nobody), metrics and exposures. Targets: at least half of the echo's throughput,
p95 at most three times its. All are loaded in turn, several times over, and the ratios are those of
neighbouring loads: what else the machine does meets all of them. Beside them stands what a request takes of
the processors, which other loads disturb least. Needs wrk.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from granian.constants import Interfaces, Loops

from recsys import _native
from recsys.artifacts.publish import publish_release
from recsys.artifacts.registry import open_registry
from recsys.control.plane import ControlPlane
from recsys.service.server import LOOP, reserve_port

N_ITEMS = 10_000
N_NEIGHBOURS = 50
CONNECTIONS = (1, 16, 64)
ROUNDS = 7
DURATION_S = 1
MIN_THROUGHPUT = 0.5
MAX_P95 = 3.0
BODY = {
    "surface": "home",
    "segment": "default",
    "k": 20,
    "user": {"user_id": "u1"},
    "anchors": {"item_ids": [f"item-{number:05}" for number in range(10)]},
    "candidates": {"exclude_ids": [f"item-{number:05}" for number in range(20, 40)]},
}
CONFIG = {"limits": {"tenant_requests_per_s": 1e6, "principal_requests_per_s": 1e6}}
RULES = [
    {"rule_id": "sold-out", "action": "BLOCK", "target_type": "ITEM", "item_ids": ["item-00050"]},
    {"rule_id": "season", "action": "BOOST", "target_type": "TAG", "target_key": "t3", "boost": 0.2},
    {"rule_id": "launch", "action": "PIN", "target_type": "ITEM", "item_ids": ["item-00777"]},
]
REPORT = """
done = function(summary, latency, requests)
  local bad = summary.errors.status + summary.errors.read + summary.errors.connect + summary.errors.timeout
  io.write(string.format("RESULT %f %f %f %d\\n", summary.requests / summary.duration * 1e6,
    latency:percentile(50), latency:percentile(95), bad))
end
"""


def main() -> int:
    """Print the ratios; return 1 when one misses its target."""
    if shutil.which("wrk") is None:
        print("wrk is missing: install it (Debian: apt-get install wrk)", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_data(folder / "plain")
        write_data(folder / "guarded")
        key = _guard(folder / "guarded")
        with (
            running_recsys(folder / "plain") as plain,
            running_recsys(folder / "guarded", "--drain", "0", is_development=False) as guarded,
            _echo(_post(plain), folder, Loops.asyncio) as echo,
            _echo(_post(plain), folder, LOOP) as echo_on_loop,
        ):
            services = {
                "echo": (_script(folder / "echo.lua"), echo),
                f"echo on {LOOP.value}": (folder / "echo.lua", echo_on_loop),
                "development": (_script(folder / "plain.lua"), plain),
                "key, rules, limits": (_script(folder / "guarded.lua", key), guarded),
            }
            return _compare(services)


def _compare(services: dict[str, tuple[Path, str]]) -> int:
    is_met = True
    print(f"medians of {ROUNDS} rounds; in brackets the least and the greatest ratio to the echo")
    print(
        f"{'connections':>11} {'service':>20} {'requests/s':>10} {'ratio':>20} {'p95 us':>7} {'ratio':>20}"
        f" {'CPU us':>7} {'ratio':>20}"
    )
    for connections in CONNECTIONS:
        rounds = [
            {name: _load(script, url, connections) for name, (script, url) in services.items()}
            for _ in range(ROUNDS)
        ]
        for name in services:
            measured = list(zip(*(loads[name] for loads in rounds), strict=True))
            ratios = [
                sorted(loads[name][place] / loads["echo"][place] for loads in rounds) for place in range(3)
            ]
            rate, p95, _ = map(statistics.median, ratios)
            is_met &= name.startswith("echo") or (rate >= MIN_THROUGHPUT and p95 <= MAX_P95)
            cells = (
                f"{statistics.median(values):>{width}.0f} {_spread(of_echo):>20}"
                for values, of_echo, width in zip(measured, ratios, (10, 7, 7), strict=True)
            )
            print(f"{connections:>11} {name:>20} {' '.join(cells)}", flush=True)
    print(f"targets (throughput >= {MIN_THROUGHPUT}, p95 <= {MAX_P95}): {'met' if is_met else 'missed'}")
    return 0 if is_met else 1


def _script(path: Path, key: str | None = None) -> Path:
    headers = {"content-type": "application/json"} | ({} if key is None else {"x-api-key": key})
    lines = [f"wrk.headers['{name}'] = '{value}'" for name, value in headers.items()]
    path.write_text("\n".join(["wrk.method = 'POST'", f"wrk.body = [[{json.dumps(BODY)}]]", *lines, REPORT]))
    return path


def _guard(data_dir: Path) -> str:
    """Give the tenant limits and rules; return an API key of it."""
    plane = ControlPlane.open(data_dir / "control")
    plane.put("demo", "config", json.dumps(CONFIG).encode(), author="bench")
    plane.put("demo", "rules", json.dumps(RULES).encode(), author="bench")
    _, key = plane.issue_key("demo", ("service",), actor="bench")
    plane.close()
    return key


def _spread(ratios: list[float]) -> str:
    return f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"


def _load(script: Path, url: str, connections: int) -> tuple[float, float, float]:
    """Return requests a second, p95 in microseconds, and the microseconds of CPU that a request took."""
    before_s = _cpu_s()
    command = ["wrk", "-t1", f"-c{connections}", f"-d{DURATION_S}s", "-s", str(script), f"{url}/v1/recommend"]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"RESULT (\S+) (\S+) (\S+) (\d+)", output)
    if found is None or found[4] != "0" or float(found[1]) == 0:
        raise RuntimeError(f"wrk did not measure {url}: {output}")
    rate = float(found[1])
    return rate, float(found[3]), (_cpu_s() - before_s) / (rate * DURATION_S) * 1e6


def _cpu_s() -> float:
    """Return the processor time of the servers; those that are not loaded take next to none."""
    times = (process.cpu_times() for process in psutil.Process().children(recursive=True))
    return sum(time.user + time.system for time in times)


def write_data(folder: Path) -> None:
    """Write a tenant with ten thousand items, a popularity list and fifty neighbours an item."""
    folder.mkdir(exist_ok=True)
    source = random.Random(7)
    items = [f"item-{number:05}" for number in range(N_ITEMS)]
    _native.build_catalog(
        str(folder / "catalog"), items, tags=[[f"t{number % 20}"] for number in range(N_ITEMS)]
    )
    catalog = _native.Catalog.open(str(folder / "catalog"))
    popularity = _native.SignalPacker(catalog, kind="popularity", key_type="segment")
    popularity.push("default", items[:1000], [1000.0 - rank for rank in range(1000)])
    popularity.finish(str(folder / "popularity"))
    cooc = _native.SignalPacker(catalog, kind="cooc", key_type="item")
    scores = [float(N_NEIGHBOURS - rank) for rank in range(N_NEIGHBOURS)]
    for item in items:
        cooc.push(
            item,
            [other for other in source.sample(items, N_NEIGHBOURS + 1) if other != item][:N_NEIGHBOURS],
            scores,
        )
    cooc.finish(str(folder / "cooc"))
    plane = ControlPlane.open(folder / "control")
    plane.create_tenant("demo", actor="bench")
    plane.close()
    files = {kind: folder / kind for kind in ("catalog", "popularity", "cooc")}
    publish_release(open_registry(folder / "registry"), "demo", "home", files)


@contextmanager
def running_recsys(
    folder: Path, *options: str, workers: int = 1, is_development: bool = True
) -> Iterator[str]:
    """Serve the data folder ``folder``, in a process of its own; give its URL."""
    code = "from recsys.cli.main import main; main()"
    port = reserve_port("127.0.0.1", 0)
    arguments = ["serve", *(["--dev"] if is_development else []), "--port", str(port), *options]
    arguments += ["--data-dir", str(folder), "--workers", str(workers)]
    with _running([sys.executable, "-c", code, *arguments], port) as url:
        yield url


@contextmanager
def _echo(answer: bytes, folder: Path, loop: Loops) -> Iterator[str]:
    (folder / "answer.json").write_bytes(answer)
    port = reserve_port("127.0.0.1", 0)
    with _running(
        [sys.executable, "-m", __spec__.name, str(port), str(folder / "answer.json"), loop.value], port
    ) as url:
        yield url


@contextmanager
def _running(command: list[str], port: int) -> Iterator[str]:
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            for _ in range(1200):
                try:
                    urllib.request.urlopen(f"{url}/livez", timeout=1).close()
                    break
                except OSError:
                    time.sleep(0.05)
            else:
                raise RuntimeError(f"not up: {command}")
            yield url
        finally:
            process.send_signal(signal.SIGTERM)


def _post(url: str) -> bytes:
    request = urllib.request.Request(
        f"{url}/v1/recommend", json.dumps(BODY).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=5) as answer:
        return bytes(answer.read())


class Echo:
    """Reads the body, answers with fixed bytes: what granian and Python cost by themselves."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._headers = [("content-type", "application/json")]

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Nothing to open."""

    async def __rsgi__(self, scope: object, protocol) -> None:
        """Answer one request."""
        await protocol()
        protocol.response_bytes(200, self._headers, self._answer)


def serve_echo(port: int, answer: bytes, loop: Loops) -> None:
    """Serve the echo with the same settings as the service."""
    from granian import Granian  # noqa: PLC0415
    from granian.log import LogLevels  # noqa: PLC0415

    server = Granian(
        "echo", port=port, interface=Interfaces.RSGI, loop=loop, websockets=False, log_level=LogLevels.warning
    )
    server.serve(target_loader=lambda: Echo(answer), wrap_loader=False)


if __name__ == "__main__":
    if len(sys.argv) == 4:
        serve_echo(int(sys.argv[1]), Path(sys.argv[2]).read_bytes(), Loops(sys.argv[3]))
    else:
        sys.exit(main())
