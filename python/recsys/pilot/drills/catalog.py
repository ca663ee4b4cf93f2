"""Every drill by name, and how one is run."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from recsys.contracts.errors import RecsysError
from recsys.pilot.drills import control, lists, logs, releases, splits
from recsys.pilot.drills.stage import DrillRecord, Stage, now


class Drill(Struct, frozen=True):
    """A drill: its name, what it shows, the page that on-call follows, and what runs it."""

    name: str
    title: str
    runbook: str
    run: Callable[[Stage], None]


DRILLS: tuple[Drill, ...] = (
    Drill("not-ready", "A service with nothing to serve", "not-ready", lists.not_ready),
    Drill("empty-lists-rule", "A rule that hides everything", "empty-lists", lists.empty_lists_rule),
    Drill("empty-lists-data", "Data that hides everything", "empty-lists", lists.empty_lists_data),
    Drill("stale-artifact", "A pipeline that stopped publishing", "stale-artifact", releases.stale_artifact),
    Drill(
        "object-store-down",
        "A registry that does not answer",
        "object-store-down",
        releases.object_store_down,
    ),
    Drill("corrupt-artifact", "A release with a damaged file", "corrupt-artifact", releases.corrupt_artifact),
    Drill("broken-joins", "Outcomes that do not join", "broken-joins", logs.broken_joins),
    Drill("broken-split", "Arms of the wrong sizes", "broken-split", splits.broken_split),
    Drill("overload", "More requests than the service takes on", "overload", control.overload),
    Drill("concurrent-rollback", "Two rollbacks at once", "concurrent-rollback", control.concurrent_rollback),
    Drill("exposure-disk-full", "A log that cannot grow", "exposure-log", logs.exposure_disk_full),
)


def run_drill(drill: Drill, folder: Path | None = None) -> DrillRecord:
    """Run one drill in a scratch folder, a new one unless given, and return what was measured."""
    with tempfile.TemporaryDirectory(prefix="recsys-drill-") as temporary:
        at = now()
        stage = Stage(folder or Path(temporary))
        detail = ""
        try:
            drill.run(stage)
        except RecsysError as error:
            detail = str(error)
        finally:
            stage.close()
        return DrillRecord(
            drill=drill.name,
            title=drill.title,
            at=at,
            passed=not detail,
            detected_s=_in_milliseconds(stage.detected_s),
            recovered_s=_in_milliseconds(stage.recovered_s),
            fault=stage.fault,
            signal=stage.signal,
            steps=stage.steps,
            runbook=f"docs/runbooks/{drill.runbook}.md",
            detail=detail,
        )


def _in_milliseconds(seconds: float) -> float:
    """Return seconds rounded up to a millisecond: what took less than that took some time all the same."""
    return math.ceil(seconds * 1000) / 1000
