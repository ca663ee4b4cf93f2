"""What a check of logs found: defects counted by kind, the first few of each shown with file, line,
field and reason."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Severity = Literal["error", "warning", "note"]
"""A note tells of what is as it should be."""


class Defect(Struct, frozen=True):
    """Why a line is no record: the kind of defect, the field where one can be named, and the reason."""

    kind: str
    field: str
    reason: str


class Example(Struct, frozen=True):
    """One defect: ``line`` counts from 1, or is None where the check is about more than a line."""

    file: str
    line: int | None
    field: str
    reason: str


class Finding(Struct):
    """A kind of defect: ``count`` of them, the first shown in ``examples``."""

    log: str
    kind: str
    severity: Severity
    count: int
    examples: list[Example]


class Findings:
    """Collects defects; at most ``shown`` examples of a kind are kept, all are counted."""

    def __init__(self, shown: int) -> None:
        self._shown = shown
        self._found: dict[tuple[str, str], Finding] = {}

    def add(
        self, log: str, kind: str, example: Example, *, severity: Severity = "error", count: int = 1
    ) -> None:
        """Count ``count`` defects of ``kind`` in ``log`` and keep the example while there is room."""
        finding = self._found.setdefault((log, kind), Finding(log, kind, severity, 0, []))
        finding.count += count
        if len(finding.examples) < self._shown:
            finding.examples.append(example)

    def ordered(self) -> list[Finding]:
        """Return the findings by log and kind, so that equal logs give equal reports."""
        return [self._found[key] for key in sorted(self._found)]

    def in_log(self, log: str) -> bool:
        """Return whether anything was found in ``log``."""
        return any(found == log for found, _ in self._found)

    def count(self, kind: str) -> int:
        """Return how many defects of ``kind`` there are over all logs."""
        return sum(finding.count for (_, found), finding in self._found.items() if found == kind)
