"""The tables of the runbooks have every drill and rollback, and measured times go where they belong."""

import re
from pathlib import Path

import pytest
from tests.docs.measured_times import PAGE, with_drilled, with_drills, with_rollbacks

from recsys.pilot.drills.catalog import DRILLS, Drill

TEXT = PAGE.read_text(encoding="utf-8")


def test_every_drill_and_rollback_has_its_times() -> None:
    times = {drill.name: (1.25 + number, 0.01) for number, drill in enumerate(DRILLS)}
    page = with_drills(TEXT, times)
    for number in range(len(DRILLS)):
        assert f"{1.25 + number:.1f}" in page
    assert page.count("at once") == len(DRILLS)
    kinds = ("config", "rules", "manifest")
    page = with_rollbacks(TEXT, {kind: ["1.11 s", "1.12 s", "1.13 s", "1.14 s"] for kind in kinds})
    assert page.count("| 1.11 s | 1.12 s | 1.13 s | 1.14 s |") == len(kinds)


def test_rollbacks_of_the_table_are_soon_enough() -> None:
    rows = re.findall(r"^\| (config|rules|manifest) \|(.*)\|$", TEXT, re.MULTILINE)
    assert len(rows) == 3
    for _, cells in rows:
        host, _, _, replicas = (float(one.split()[0]) for one in cells.split("|"))
        assert host <= 1.0
        assert replicas <= 10.0


def test_nothing_else_of_the_page_changes() -> None:
    times = {drill.name: (0.3, 0.3) for drill in DRILLS}
    before, after = (re.sub(r"[\d.]+|at once", "", page) for page in (TEXT, with_drills(TEXT, times)))
    assert before == after


@pytest.mark.parametrize("drill", DRILLS, ids=lambda drill: drill.name)
def test_every_drill_is_on_its_runbook_with_its_times(drill: Drill) -> None:
    text = (PAGE.parent / f"{drill.runbook}.md").read_text(encoding="utf-8")
    (line,) = re.findall(rf"Drills?: `recsys drill [^`]*\b{drill.name}\b[^`]*`.*$", text, re.MULTILINE)
    assert "as drilled, seen" in line
    times = {one.name: (77.7, 0.01) for one in DRILLS}
    assert "seen after 77.7 s and well again at once" in with_drilled(text, times)


@pytest.mark.parametrize("path", sorted(PAGE.parent.glob("[!R]*.md")), ids=lambda path: path.name)
def test_every_runbook_has_trigger_steps_expected_output_and_end(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for part in ("**You see**", "**Customers see**", "\n1. ", "**Expect**", "**It is over when**"):
        assert part in text, part
