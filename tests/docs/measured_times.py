"""Measure drills and rollbacks, and write the times into the tables of the runbooks (``make drills``)."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "runbooks" / "README.md"
ROLLBACKS = "tests/control/test_replicas.py"


def drill_times() -> dict[str, tuple[float, float]]:
    """Run every drill; return seconds to detect and to recover by name."""
    command = [Path(sys.executable).with_name("recsys"), "drill", "all", "--json"]
    records = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return {one["drill"]: (one["detected_s"], one["recovered_s"]) for one in records}


def rollback_times() -> dict[str, list[str]]:
    """Run the tests of rollbacks; return by kind median and longest on a host, and on replicas."""
    command = [sys.executable, "-m", "pytest", "-q", "-s", ROLLBACKS]
    printed = subprocess.run(command, stdout=subprocess.PIPE, check=True, cwd=ROOT, text=True).stdout
    times: dict[str, list[str]] = {}
    for kind, *found in re.findall(r"\| (\w+) \| ([\d.]+ s) \| ([\d.]+ s) \|", printed):
        times.setdefault(kind, []).extend(found)
    return times


def with_drills(page: str, times: Mapping[str, tuple[float, float]]) -> str:
    """Return the page with times in the rows that name drills; raises ``KeyError`` for one not measured."""

    def row(line: str) -> str:
        cells = line.split("|")
        names = re.findall(r"`([\w-]+)`", cells[3]) if len(cells) == 7 else []
        if names:
            cells[4:6] = [f" {', '.join(_shown(times[name][i]) for name in names)} " for i in (0, 1)]
        return "|".join(cells)

    return "\n".join(row(line) for line in page.split("\n"))


def with_rollbacks(page: str, times: Mapping[str, list[str]]) -> str:
    """Return the page with the times in the rows of rollbacks; raises ``KeyError`` for one not measured."""
    return re.sub(
        r"^\| (config|rules|manifest) \|.*$",
        lambda found: f"| {found[1]} | {' | '.join(times[found[1]])} |",
        page,
        flags=re.MULTILINE,
    )


def with_drilled(page: str, times: Mapping[str, tuple[float, float]]) -> str:
    """Return a runbook whose last words tell how long its drills took; one without a drill is as it was."""

    def told(found: re.Match[str]) -> str:
        names = found[1].split()
        took = "; ".join(
            f"as drilled, seen {_after(times[name][0])} and well again {_after(times[name][1])}"
            for name in names
        )
        return f"Drill{'s' if len(names) > 1 else ''}: `recsys drill {found[1]}`; {took}."

    return re.sub(r"Drills?: `recsys drill ([\w -]+)`.*$", told, page, flags=re.MULTILINE)


def _after(seconds: float) -> str:
    return f"after {seconds:.1f} s" if seconds >= 0.05 else "at once"


def _shown(seconds: float) -> str:
    return f"{seconds:.1f}" if seconds >= 0.05 else "at once"


def main() -> None:
    """Measure and write."""
    drills, rollbacks = drill_times(), rollback_times()
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(with_rollbacks(with_drills(page, drills), rollbacks), encoding="utf-8")
    for path in PAGE.parent.glob("*.md"):
        text = path.read_text(encoding="utf-8")
        if path != PAGE:
            path.write_text(with_drilled(text, drills), encoding="utf-8")


if __name__ == "__main__":
    main()
