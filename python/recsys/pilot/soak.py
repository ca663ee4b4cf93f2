"""A soak: a steady load on a scratch service while releases, rules and log parts keep changing.

The load is half of what the service is measured to answer on this machine, load generator included.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import psutil
from msgspec import Struct

from recsys.contracts.errors import UsageError
from recsys.pilot.capacity import measure
from recsys.pilot.drills.scratch import SURFACE, TENANT, Scratch
from recsys.pilot.service_process import ServiceProcess
from recsys.pilot.soak_changes import Changes, changing, count_exposures
from recsys.pilot.soak_load import CONNECTIONS, Answers, load

CAPACITY_S = 5.0
LOAD_SHARE = 0.5
WARM_UP = 0.25
WINDOW_S = 5.0
MIN_WINDOWS = 8
MAX_WINDOWS = 60
MAX_MINUTES = 24 * 60.0
MAX_MEMORY_GROWTH = 1.05
MAX_P99_GROWTH = 2.0


class Memory(Struct, frozen=True):
    """What a process holds, in bytes: resident, and the part of it that no file backs."""

    pid: int
    resident: int
    anonymous: int


class Window(Struct, frozen=True, kw_only=True):
    """One stretch of the run: latencies in milliseconds, memory of each process at its end."""

    minute: float
    requests: int
    failed: int
    p50_ms: float
    p99_ms: float
    memory: list[Memory]


class MemoryTrend(Struct, frozen=True, kw_only=True):
    """Lines through the memory of a process after the warm-up, as :func:`slope` fits them, in MB.

    Growth, the end of a line over its beginning, is the larger one: the system takes pages of files back
    when it needs room, which would hide what was allocated meanwhile.
    """

    pid: int
    resident_mb: float
    resident_mb_per_hour: float
    anonymous_mb: float
    anonymous_mb_per_hour: float
    growth: float


class Soak(Struct, frozen=True, kw_only=True):
    """``soak.v1``. Trends leave out the first quarter of the windows, to warm up.

    ``p99_thirds_ms``: median of the windows' p99 in each third. ``lost``: lists answered without an exposure.
    """

    v: int = 1
    minutes: float
    capacity_per_s: float
    rate_per_s: float
    requests: int
    failed: int
    changes: Changes
    exposures: int
    lost: int
    processes: list[MemoryTrend]
    p99_thirds_ms: list[float]
    windows: list[Window]

    @property
    def p99_growth(self) -> float:
        """The last third of the p99 over the first."""
        first, *_, last = self.p99_thirds_ms
        return last / first if first else 1.0

    @property
    def memory_growth(self) -> float:
        """The growth of the process that grew most."""
        return max(one.growth for one in self.processes)

    def troubles(self) -> list[str]:
        """Return what is not as it has to be; nothing when the service was well all the time."""
        silent = sum(not window.requests for window in self.windows)
        kept = {tuple(sorted(one.pid for one in window.memory)) for window in self.windows}
        return [
            text
            for is_wrong, text in (
                (self.failed > 0, f"{self.failed} requests failed"),
                (silent > 0, f"nothing was answered in {silent} windows"),
                (self.lost != 0, f"{self.lost} lists have no exposure"),
                (len(kept) > 1, "processes ended or began"),
                (self.memory_growth > MAX_MEMORY_GROWTH, f"memory grew x {self.memory_growth:.3f}"),
                (self.p99_growth > MAX_P99_GROWTH, f"p99 grew x {self.p99_growth:.2f}"),
            )
            if is_wrong
        ]


def run_soak(minutes: float, *, workers: int = 2, capacity_s: float = CAPACITY_S) -> Soak:
    """Run one in a scratch folder, and return what was measured; raises :class:`UsageError`."""
    if not 0 < minutes <= MAX_MINUTES:
        raise UsageError(f"--minutes {minutes:g}: above 0, and at most {MAX_MINUTES:g}")
    n_windows = round(min(max(minutes * 60 / WINDOW_S, MIN_WINDOWS), MAX_WINDOWS))
    with TemporaryDirectory(prefix="recsys-soak-") as name:
        scratch = Scratch(Path(name))
        scratch.publish()
        with ServiceProcess(scratch.data_dir, ["--dev", "--workers", str(workers)]) as service:
            capacity = measure(service.url, TENANT, SURFACE, seconds=capacity_s, connections=CONNECTIONS)
            rate = capacity.requests_per_s * LOAD_SHARE
            logged_before = count_exposures(scratch.data_dir)
            with changing(scratch) as changes_so_far:
                windows = [
                    _window(
                        service,
                        load(service.url, rate, minutes * 60 / n_windows),
                        number * minutes / n_windows,
                    )
                    for number in range(1, n_windows + 1)
                ]
                changes = changes_so_far()
        logged = count_exposures(scratch.data_dir) - logged_before
    settled = windows[round(len(windows) * WARM_UP) :]
    answered = sum(window.requests for window in windows)
    return Soak(
        minutes=minutes,
        capacity_per_s=capacity.requests_per_s,
        rate_per_s=round(rate, 1),
        requests=answered,
        failed=sum(window.failed for window in windows),
        changes=changes,
        exposures=logged,
        lost=answered - logged,
        processes=memory_trends(settled),
        p99_thirds_ms=thirds([window.p99_ms for window in settled]),
        windows=windows,
    )


def memory_trends(windows: Sequence[Window]) -> list[MemoryTrend]:
    """Return the trend of each process that is in all of the windows."""
    hours = [window.minute / 60 for window in windows]
    held = [{one.pid: one for one in window.memory} for window in windows]
    found = []
    for pid in sorted(set.intersection(*(set(one) for one in held))):
        resident = _line(hours, [one[pid].resident / 1e6 for one in held])
        anonymous = _line(hours, [one[pid].anonymous / 1e6 for one in held])
        found.append(
            MemoryTrend(
                pid=pid,
                resident_mb=round(resident.begin, 1),
                resident_mb_per_hour=round(resident.rise, 3),
                anonymous_mb=round(anonymous.begin, 1),
                anonymous_mb_per_hour=round(anonymous.rise, 3),
                growth=round(max(resident.growth, anonymous.growth), 4),
            )
        )
    return found


class _Line(NamedTuple):
    begin: float
    rise: float
    growth: float


def _line(x: Sequence[float], y: Sequence[float]) -> _Line:
    rise = slope(x, y)
    begin = float(np.median(np.asarray(y) - rise * (np.asarray(x) - x[0])))
    return _Line(begin, rise, 1 + rise * (x[-1] - x[0]) / begin)


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Return the Theil-Sen slope, the median of the slopes of all pairs: an outlier does not move it."""
    pairs = combinations(range(len(x)), 2)
    return float(np.median([(y[j] - y[i]) / (x[j] - x[i]) for i, j in pairs])) if len(x) > 1 else 0.0


def thirds(values: Sequence[float]) -> list[float]:
    """Return the medians of the first, the middle and the last third."""
    return [round(float(np.median(part)), 2) for part in np.array_split(np.asarray(values), 3)]


def _window(service: ServiceProcess, answers: Answers, minute: float) -> Window:
    p50, p99 = np.percentile(answers.latencies_ms, (50, 99)) if answers.latencies_ms else (0.0, 0.0)
    return Window(
        minute=round(minute, 3),
        requests=len(answers.latencies_ms),
        failed=answers.failed,
        p50_ms=round(float(p50), 2),
        p99_ms=round(float(p99), 2),
        memory=[_memory(process) for process in service.workers() if _is_alive(process)],
    )


def _memory(process: psutil.Process) -> Memory:
    held = process.memory_info()
    return Memory(process.pid, held.rss, held.rss - held.shared)


def _is_alive(process: psutil.Process) -> bool:
    return bool(process.is_running()) and process.status() != psutil.STATUS_ZOMBIE
