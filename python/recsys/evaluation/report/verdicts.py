"""The words and tones of the verdicts, the same on every page."""

from __future__ import annotations

from recsys.contracts.decisions import Decision
from recsys.contracts.reports import Report
from recsys.evaluation.report.story import Badge, Tone

_DECISIONS: dict[str, tuple[str, Tone]] = {
    "ship": ("Ship", "good"),
    "hold": ("Hold", "caution"),
    "fail": ("Fail", "bad"),
}


def verdict_badge(report: Report) -> Badge:
    """Return pass, fail, or that there were no gates to judge by."""
    verdict = report.summary.executive.decision
    if verdict == "pass":
        return Badge("Pass", "good")
    if verdict == "fail":
        return Badge("Fail", "bad")
    return Badge("Measured")


def decision_badge(decision: Decision) -> Badge:
    """Return ship, hold or fail."""
    return Badge(*_DECISIONS[decision.decision])
