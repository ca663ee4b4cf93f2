"""The pilot from its first day to its last, on real data: fourteen steps, each with what it measured."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from recsys.contracts.errors import RecsysError, UsageError
from recsys.demo.retail import require_retail_data
from recsys.pilot import run_baseline, run_production, run_relevance
from recsys.pilot.journal import Journal, StepRecord
from recsys.pilot.replay_baskets import ReplayResult
from recsys.pilot.world import World

DEFAULT_SCALE = 1500
"""Baskets that are replayed in each part."""

N_STEPS = 15


def run_pilot(folder: Path, *, scale: int = DEFAULT_SCALE, tell: Callable[[str], None]) -> Journal:
    """Run the pilot in a new folder; ``tell`` is told each line. The journal says whether all went well.

    Raises :class:`UsageError` when the folder is not empty: nothing of a team's own is touched. Raises
    :class:`RetailDataError`, and makes no folder, when the data is not installed.
    """
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"{folder}: not empty; remove it, or name a new folder with --out")
    require_retail_data()
    journal = Journal(folder, datetime.now(UTC), N_STEPS, tell)
    world = World(folder, scale)
    try:
        _run(world, journal)
    except RecsysError:
        pass  # the journal has it, with the step that failed
    finally:
        world.stop()
        journal.write()
    return journal


def _run(world: World, journal: Journal) -> None:
    def step(title: str, act: Callable[[World, StepRecord], object]) -> None:
        with journal.step(title, _first_line(act)) as record:
            act(world, record)

    step("Rows become a baseline", run_baseline.load_rows)
    step("The baseline is served", run_baseline.serve_baseline)
    with journal.step("A week of households", _first_line(run_baseline.replay_baseline)) as record:
        baseline: ReplayResult = run_baseline.replay_baseline(world, record)
    step("The first report", run_baseline.check_logs)
    step("A blend is published", run_relevance.publish_blend)
    with journal.step("Offline comparison", _first_line(run_relevance.compare_offline)) as record:
        run_relevance.compare_offline(world, record, baseline)
    step("Business rules", run_relevance.put_rules)
    step("The ship checklist", run_relevance.check_ship_list)
    step("Ship", run_relevance.ship)
    step("Keys and backup", run_production.secure)
    step("An experiment", run_production.run_experiment)
    step("The decision", run_production.decide)
    step("Broken on purpose", run_production.break_and_roll_back)
    step("Rollbacks", run_production.roll_back_everything)
    step("Drills, capacity, status", _finish)


def _finish(world: World, record: StepRecord) -> None:
    """Faults are drilled, capacity is measured, and every phase finds its evidence."""
    run_production.run_drills(world, record)
    run_production.measure_capacity(world, record)
    run_production.show_status(world, record)


def _first_line(act: Callable[..., object]) -> str:
    return (act.__doc__ or "").strip().partition("\n")[0]
