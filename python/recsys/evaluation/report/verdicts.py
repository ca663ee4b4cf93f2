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


def effect_badge(report: Report, low: float, high: float, *, lower_is_better: bool = False) -> Badge:
    """Return what the interval ``low`` to ``high`` of a difference says; a gate that does not pass speaks
    first.
    """
    verdicts = {gate.verdict for gate in report.gates}
    if "fail" in verdicts:
        return Badge("Fail", "bad")
    if "hold" in verdicts:
        return Badge("Inconclusive", "caution")
    if lower_is_better:
        low, high = -high, -low
    if low > 0.0:
        return Badge("Better", "good")
    return Badge("Worse", "bad") if high < 0.0 else Badge("No difference shown", "caution")


def gates_in_words(report: Report) -> str:
    """Return a sentence on the gates that do not pass, empty when all do."""
    parts = []
    for verdict, words in (("fail", "fails"), ("hold", "cannot be judged")):
        names = [gate.name.replace("_", " ") for gate in report.gates if gate.verdict == verdict]
        parts += [f"{name} {words}" for name in names]
    return f"{'; '.join(parts)}. " if parts else ""


def decision_badge(decision: Decision) -> Badge:
    """Return ship, hold or fail."""
    return Badge(*_DECISIONS[decision.decision])
