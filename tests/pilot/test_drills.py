"""Every drill passes for real: a fault on a scratch copy is noticed, and the runbook mends it."""

from pathlib import Path

import pytest

from recsys.pilot.drills.catalog import DRILLS, Drill, run_drill
from recsys.pilot.drills.stage import DrillError, Stage

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("drill", DRILLS, ids=lambda drill: drill.name)
def test_drill_detects_and_recovers(drill: Drill) -> None:
    record = run_drill(drill)
    assert record.passed, record.detail
    assert record.signal
    assert record.detected_s > 0
    assert record.recovered_s > 0
    assert (ROOT / record.runbook).is_file()


def test_drill_that_does_not_go_as_planned_is_recorded_as_failed() -> None:
    def fail(stage: Stage) -> None:
        stage.inject("nothing", lambda: None)
        raise DrillError("the signal did not come")

    record = run_drill(Drill("broken", "Fails", "none", fail))
    assert not record.passed
    assert record.detail == "the signal did not come"
    assert record.fault == "nothing"


def test_command_of_a_runbook_that_fails_fails_the_drill() -> None:
    record = run_drill(
        Drill("broken", "Fails", "none", lambda stage: stage.command("rules", "nonsense") and None)
    )
    assert not record.passed
    assert "recsys rules nonsense exited" in record.detail
