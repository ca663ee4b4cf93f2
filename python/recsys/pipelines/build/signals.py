"""What the builds of all signals from interactions end with: a window, and a report."""

from __future__ import annotations

from pathlib import Path

from recsys.contracts.errors import BuildError
from recsys.pipelines.build.interactions import Tally
from recsys.pipelines.build.request import BuildInput, BuildReport, Window, window_of


def require_window(tally: Tally) -> Window:
    """Return the window of the rows that were used; raises :class:`BuildError` when there are none."""
    window = window_of(tally.first_ms, tally.last_ms)
    if window is None:
        raise BuildError("no interaction counts: every row is bad, unknown to the catalog, or left out")
    return window


def signal_report(
    kind: str,
    out: Path,
    sha256: str,
    tally: Tally,
    given: BuildInput,
    window: Window,
    *,
    heavy_sessions: int = 0,
) -> BuildReport:
    """Return the report of the signal of ``kind`` that was written to ``out``."""
    return BuildReport(
        kind,
        str(out),
        sha256,
        out.stat().st_size,
        tally.rows,
        tally.bad,
        tally.unknown_items,
        tally.other,
        heavy_sessions,
        quarantine=str(given.quarantine) if tally.bad and given.quarantine else None,
        window=window,
    )
