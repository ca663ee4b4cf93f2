"""A soak tells a run that suffered from one that did not."""

import pytest
from msgspec.structs import replace

from recsys.contracts.errors import UsageError
from recsys.pilot.soak import MAX_MEMORY_GROWTH, MAX_P99_GROWTH, Soak, Window, run_soak

WINDOW = Window(minute=1.0, requests=10, failed=0, p50_ms=1.0, p99_ms=2.0, memory_bytes=1000)
WELL = Soak(
    capacity_per_s=100.0,
    rate_per_s=50.0,
    changes=3,
    failed=0,
    memory_growth=1.0,
    p99_growth=1.0,
    log_parts=1,
    windows=[WINDOW],
)


def test_failures_growth_and_silence_fail_it() -> None:
    assert WELL.passed
    assert not replace(WELL, failed=1).passed
    assert not replace(WELL, memory_growth=MAX_MEMORY_GROWTH + 0.01).passed
    assert not replace(WELL, p99_growth=MAX_P99_GROWTH + 0.01).passed
    assert not replace(WELL, windows=[replace(WINDOW, requests=0)]).passed


def test_length_is_checked_before_anything_starts() -> None:
    for minutes in (0.0, -1.0, float("nan"), 1e9):
        with pytest.raises(UsageError, match="--minutes"):
            run_soak(minutes)


@pytest.mark.slow
def test_short_soak_counts_requests_and_changes() -> None:
    found = run_soak(0.15, workers=1)
    assert found.failed == 0
    assert found.changes >= 2
    assert sum(window.requests for window in found.windows) == pytest.approx(found.rate_per_s * 9, rel=0.1)
