"""The tables of the runbooks have every drill and rollback, and measured times go where they belong."""

import re

from tests.docs.measured_times import PAGE, with_drills, with_rollbacks

from recsys.pilot.drills.catalog import DRILLS

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
