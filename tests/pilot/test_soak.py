"""A soak tells a run that suffered from one that did not."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from recsys.contracts.errors import RecsysError, UsageError
from recsys.eventlog.parts import PartWriter
from recsys.pilot import soak_changes
from recsys.pilot.drills.scratch import Scratch
from recsys.pilot.soak import (
    MAX_MEMORY_GROWTH,
    MAX_P99_GROWTH,
    Memory,
    MemoryTrend,
    Soak,
    Window,
    memory_trends,
    run_soak,
    slope,
    thirds,
)
from recsys.pilot.soak_changes import Changes, changing, count_exposures

MB = 1_000_000
WINDOW = Window(
    minute=1.0, requests=10, failed=0, p50_ms=1.0, p99_ms=2.0, memory=[Memory(7, 100 * MB, 50 * MB)]
)
TREND = MemoryTrend(
    pid=7,
    resident_mb=100.0,
    resident_mb_per_hour=0.0,
    anonymous_mb=50.0,
    anonymous_mb_per_hour=0.0,
    growth=1.0,
)
WELL = Soak(
    minutes=1.0,
    capacity_per_s=100.0,
    rate_per_s=50.0,
    requests=10,
    failed=0,
    changes=Changes(),
    exposures=10,
    lost=0,
    processes=[TREND],
    p99_thirds_ms=[2.0, 2.0, 2.0],
    windows=[WINDOW],
)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"failed": 1}, "requests failed"),
        ({"lost": 1}, "no exposure"),
        ({"windows": [replace(WINDOW, requests=0)]}, "nothing was answered"),
        ({"windows": [WINDOW, replace(WINDOW, memory=[Memory(8, MB, MB)])]}, "processes ended"),
        ({"processes": [TREND, replace(TREND, growth=MAX_MEMORY_GROWTH + 0.01)]}, "memory grew"),
        ({"p99_thirds_ms": [2.0, 9.0, 2.0 * MAX_P99_GROWTH + 0.1]}, "p99 grew"),
    ],
)
def test_what_a_service_suffered_is_told(change: dict[str, object], said: str) -> None:
    assert WELL.troubles() == []
    (trouble,) = replace(WELL, **change).troubles()
    assert said in trouble


def test_growth_of_one_process_is_found_among_others() -> None:
    windows = [
        replace(
            WINDOW,
            minute=float(minute),
            memory=[Memory(1, 100 * MB, 10 * MB), Memory(2, (100 + minute) * MB, (10 + minute) * MB)],
        )
        for minute in range(11)
    ]
    windows[5] = replace(windows[5], memory=[Memory(1, 900 * MB, 10 * MB), windows[5].memory[1]])
    flat, growing = memory_trends(windows)
    assert (flat.resident_mb_per_hour, flat.growth) == (0.0, 1.0)
    assert growing.resident_mb_per_hour == growing.anonymous_mb_per_hour == 60.0
    assert growing.growth == 2.0


def test_growth_is_found_behind_pages_of_files_that_the_system_took_back() -> None:
    windows = [
        replace(
            WINDOW,
            minute=float(minute),
            memory=[Memory(1, (100 if minute < 5 else 60) * MB, (10 + minute) * MB)],
        )
        for minute in range(11)
    ]
    (trend,) = memory_trends(windows)
    assert trend.resident_mb_per_hour < 0
    assert trend.growth == 2.0


@given(st.floats(-5, 5), st.floats(-5, 5), st.integers(0, 9))
def test_slope_of_a_line_is_found_whatever_one_outlier_says(rise: float, start: float, place: int) -> None:
    y = [start + rise * x for x in range(10)]
    y[place] += 1e6
    assert slope(range(10), y) == pytest.approx(rise, abs=1e-6)


def test_thirds_are_medians() -> None:
    assert thirds([1, 1, 9, 2, 2, 9, 3, 3, 0]) == [1.0, 2.0, 3.0]


def test_length_is_checked_before_anything_starts() -> None:
    for minutes in (0.0, -1.0, float("nan"), 1e9):
        with pytest.raises(UsageError, match="--minutes"):
            run_soak(minutes)


def test_exposures_are_counted_before_and_after_compaction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = Scratch(tmp_path)
    clock = 1_700_000_000.0
    writer = PartWriter(scratch.data_dir / "logs" / "exposures", clock=lambda: clock)
    for number in range(3):
        writer.append(
            b'{"request_id":"r%d","user_id":"%b","ts":"2026-01-01T00:00:00Z","items":[]}\n'
            % (number, b"a" * 64)
        )
    writer.close()
    assert count_exposures(scratch.data_dir) == 3
    for name in ("RELEASE_S", "RULES_S", "ROTATE_S", "COMPACT_S"):
        monkeypatch.setattr(soak_changes, name, 0.01)
    with changing(scratch) as so_far:
        wait_until(lambda: bool(min(msgspec.structs.astuple(so_far()))))
    assert count_exposures(scratch.data_dir) == 3
    assert not list((scratch.data_dir / "logs" / "exposures").glob("*.jsonl"))


def test_trouble_of_a_change_is_raised_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = threading.Event()

    def fail(self: Scratch, **_: object) -> None:
        tried.set()
        raise RecsysError("the registry is full")

    monkeypatch.setattr(Scratch, "publish", fail)
    monkeypatch.setattr(soak_changes, "RELEASE_S", 0.01)
    with pytest.raises(RecsysError, match="registry is full"), changing(Scratch(tmp_path)):
        assert tried.wait(60)


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.slow
def test_short_soak_counts_requests_and_changes() -> None:
    found = run_soak(0.1, workers=1, capacity_s=1.0)
    assert found.failed == 0
    assert found.lost == 0
    assert found.changes.releases >= 1
    assert found.changes.rules >= 1
    assert found.requests == pytest.approx(found.rate_per_s * 6, rel=0.1)
