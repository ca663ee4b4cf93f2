"""The story of a decision: what was decided and why, then what was found in the logs, then the experiment."""

from __future__ import annotations

from dataclasses import replace

from msgspec import Struct

from recsys.contracts.decisions import Decision
from recsys.contracts.reports import Report
from recsys.evaluation.findings import Finding
from recsys.evaluation.report import numbers
from recsys.evaluation.report.experiment import experiment_story
from recsys.evaluation.report.experiment_quality import ExperimentPayload
from recsys.evaluation.report.story import Badge, Column, Section, Story, Table, text_columns
from recsys.evaluation.report.verdicts import decision_badge


class DecisionPayload(Struct, frozen=True, kw_only=True):
    """``experiment`` in the report of a decision; ``measured`` is None when the logs were not fit for it."""

    decision: Decision
    findings: list[Finding]
    measured: ExperimentPayload | None


def decision_story(report: Report, payload: DecisionPayload) -> Story:
    """Return the story; without a measurement it ends with the defects of the logs."""
    decision = payload.decision
    quality = (quality_section(payload.findings),) if payload.findings else ()
    if payload.measured is None:
        story = Story(title="", verdict=decision_badge(decision), headline="", sections=quality)
    else:
        story = experiment_story(report, payload.measured)
        story = replace(story, sections=(*story.sections, *quality))
    return replace(
        story,
        title=f"{decision.candidate_variant} against {decision.control_variant}",
        verdict=decision_badge(decision),
        headline=f"{decision.reason}.",
    )


def quality_section(findings: list[Finding], caption: str = "Findings, the first of each kind") -> Section:
    """Return the findings as a table."""
    rows = tuple(
        (
            Badge(finding.severity, "bad" if finding.severity == "error" else "caution"),
            finding.log,
            finding.kind,
            numbers.count(finding.count),
            f"{example.file}:{example.line}" if example.line else example.file,
            example.field,
            example.reason,
        )
        for finding in findings
        for example in finding.examples
    )
    columns = (
        *text_columns("severity", "log", "kind"),
        Column("count", is_number=True),
        *text_columns("first at", "field", "reason"),
    )
    return Section("Quality of the logs", tables=(Table(caption, columns, rows),))
