"""A soak: a steady load on a scratch service while releases and rules keep changing and the log grows.

The load is half of what the service is measured to answer on this machine, load generator included.
"""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import msgspec
import numpy as np
import psutil
from msgspec import Struct

from recsys.contracts.errors import UsageError
from recsys.control.plane import ControlPlane
from recsys.pilot.capacity import measure
from recsys.pilot.drills.scratch import ITEMS, SURFACE, TENANT, Scratch
from recsys.pilot.service_process import ServiceProcess

CONNECTIONS = 4
CAPACITY_S = 5.0
CHANGE_S = 2.0
LOAD_SHARE = 0.5
WARM_UP = 0.25
MIN_WINDOWS = 8
MAX_MINUTES = 24 * 60.0
MAX_MEMORY_GROWTH = 1.15
MAX_P99_GROWTH = 3.0


class Window(Struct, frozen=True, kw_only=True):
    """One stretch of the run: latencies in milliseconds, private memory of all processes in bytes."""

    minute: float
    requests: int
    failed: int
    p50_ms: float
    p99_ms: float
    memory_bytes: int


class Soak(Struct, frozen=True, kw_only=True):
    """``soak.v1``; growth: median of the last third over the first, after a quarter to warm up."""

    v: int = 1
    capacity_per_s: float
    rate_per_s: float
    changes: int
    failed: int
    memory_growth: float
    p99_growth: float
    log_parts: int
    windows: list[Window]

    @property
    def passed(self) -> bool:
        """No request failed, memory is flat, and p99 steady."""
        return (
            self.failed == 0
            and all(window.requests for window in self.windows)
            and self.memory_growth <= MAX_MEMORY_GROWTH
            and self.p99_growth <= MAX_P99_GROWTH
        )


def run_soak(minutes: float, *, workers: int = 2) -> Soak:
    """Run one in a scratch folder, and return what was measured; raises :class:`UsageError`."""
    if not 0 < minutes <= MAX_MINUTES:
        raise UsageError(f"--minutes {minutes:g}: above 0, and at most {MAX_MINUTES:g}")
    with TemporaryDirectory(prefix="recsys-soak-") as name:
        scratch = Scratch(Path(name))
        scratch.publish()
        with ServiceProcess(scratch.data_dir, ["--dev", "--workers", str(workers)]) as service:
            capacity = measure(service.url, TENANT, SURFACE, seconds=CAPACITY_S, connections=CONNECTIONS)
            rate = capacity.requests_per_s * LOAD_SHARE
            n_windows = max(MIN_WINDOWS, round(minutes))
            seconds = minutes * 60 / n_windows
            with _changing(scratch) as n_changes:
                windows = [_window(service, rate, seconds, number) for number in range(1, n_windows + 1)]
                changes = n_changes()
        parts = len(list((scratch.data_dir / "logs" / "exposures").rglob("*.jsonl*")))
    settled = windows[round(len(windows) * WARM_UP) :]
    return Soak(
        capacity_per_s=capacity.requests_per_s,
        rate_per_s=round(rate, 1),
        changes=changes,
        failed=sum(window.failed for window in windows),
        memory_growth=_growth([float(window.memory_bytes) for window in settled]),
        p99_growth=_growth([window.p99_ms for window in settled]),
        log_parts=parts,
        windows=windows,
    )


def _growth(values: list[float]) -> float:
    third = max(1, len(values) // 3)
    return round(float(np.median(values[-third:]) / np.median(values[:third])), 3)


def _window(service: ServiceProcess, rate: float, seconds: float, number: int) -> Window:
    latencies: list[list[float]] = [[] for _ in range(CONNECTIONS)]
    failed = [0] * CONNECTIONS
    threads = [
        threading.Thread(
            target=_load, args=(service.url, rate / CONNECTIONS, seconds, latencies[i], failed, i)
        )
        for i in range(CONNECTIONS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = np.concatenate([np.asarray(one) for one in latencies])
    return Window(
        minute=round(number * seconds / 60, 2),
        requests=len(found),
        failed=sum(failed),
        p50_ms=round(float(np.percentile(found, 50)), 2) if len(found) else 0.0,
        p99_ms=round(float(np.percentile(found, 99)), 2) if len(found) else 0.0,
        memory_bytes=_private_bytes(service),
    )


def _private_bytes(service: ServiceProcess) -> int:
    """Return private memory, for pages of mapped files are the system's to drop."""
    return sum(process.memory_full_info().uss for process in service.workers() if _is_alive(process))


def _is_alive(process: psutil.Process) -> bool:
    return bool(process.is_running()) and process.status() != psutil.STATUS_ZOMBIE


def _load(url: str, rate: float, seconds: float, latencies: list[float], failed: list[int], own: int) -> None:
    """Ask at a steady rate; a request that is late is asked at once, and none is left out."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    headers = {"content-type": "application/json", "x-org-id": TENANT}
    began = time.monotonic()
    try:
        for number in range(int(rate * seconds)):
            time.sleep(max(0.0, began + number / rate - time.monotonic()))
            user = {"user_id": f"u-{own}-{number % 1000}"}
            body = msgspec.json.encode({"surface": SURFACE, "segment": "default", "k": 20, "user": user})
            asked = time.perf_counter()
            try:
                connection.request("POST", "/v1/recommend", body, headers)
                answer = connection.getresponse()
                has_items = b'"item_id"' in answer.read()
            except (OSError, http.client.HTTPException):
                connection.close()
                failed[own] += 1
                continue
            if answer.status == 200 and has_items:
                latencies.append((time.perf_counter() - asked) * 1000)
            else:
                failed[own] += 1
    finally:
        connection.close()


@contextmanager
def _changing(scratch: Scratch) -> Iterator[Callable[[], int]]:
    """Publish a release and put rules in turn while the block runs; yields what counts the changes.

    What a change raises is raised at the end of the block.
    """
    stop, done, troubles = threading.Event(), [0], list[Exception]()

    def change() -> None:
        plane = ControlPlane.open(scratch.data_dir / "control")
        try:
            while not stop.wait(CHANGE_S):
                done[0] += 1
                if done[0] % 2:
                    scratch.publish(generation=1 + done[0] % 7)
                    continue
                rule = {"rule_id": "one", "action": "BLOCK", "target_type": "ITEM"}
                rules = [rule | {"target_key": ITEMS[50 + done[0] % 100]}]
                plane.put(TENANT, "rules", msgspec.json.encode(rules), author="soak")
        except Exception as error:  # noqa: BLE001  told by the thread that waits
            troubles.append(error)
        finally:
            plane.close()

    thread = threading.Thread(target=change)
    thread.start()
    try:
        yield lambda: done[0]
    finally:
        stop.set()
        thread.join()
    if troubles:
        raise troubles[0]
