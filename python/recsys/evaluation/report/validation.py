"""The report of a check of logs: are they fit to measure with, and what is wrong where?"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from uuid import uuid4

import msgspec

import recsys
from recsys.contracts.reports import Setting, ValidationReport
from recsys.evaluation.report import numbers
from recsys.evaluation.report.charts import funnel
from recsys.evaluation.report.decision import quality_section
from recsys.evaluation.report.provenance import library_versions, settings_without_secrets
from recsys.evaluation.report.story import (
    Badge,
    Chart,
    Fact,
    Section,
    Story,
    Table,
    Tone,
    number_columns,
    text_columns,
)
from recsys.evaluation.validate import Validation

_VERDICTS: dict[str, tuple[str, Tone]] = {
    "sane": ("Sane", "good"),
    "hold": ("Hold", "caution"),
    "failed": ("Failed", "bad"),
}


def validation_report(result: Validation, settings: Mapping[str, Setting]) -> ValidationReport:
    """Return the check with run, time, inputs, settings without secrets and versions."""
    return ValidationReport(
        run_id=uuid4().hex,
        mode="validate",
        created_at=datetime.now(UTC),
        version=recsys.__version__,
        warnings=[],
        inputs=result.inputs,
        effective_config=settings_without_secrets(settings),
        environment=library_versions(),
        validation=msgspec.Raw(msgspec.json.encode(result)),
    )


def validation_story(result: Validation) -> Story:
    """Return the story; the verdict and the kinds that led to it come first."""
    return Story(
        title="Are these logs fit to measure with?",
        verdict=Badge(*_VERDICTS[result.verdict]),
        headline=_headline(result),
        facts=_facts(result),
        lead=_funnel(result),
        sections=tuple(
            section for section in (_findings(result), _causes(result), _rates(result)) if section is not None
        ),
    )


def _headline(result: Validation) -> str:
    def kinds(severity: str) -> str:
        return ", ".join(
            f"{numbers.count(found.count)} {found.kind.replace('_', ' ')}"
            for found in result.findings
            if found.severity == severity
        )

    if result.verdict == "failed":
        return f"Lines or files are defective ({kinds('error')}): mend them before anything is measured."
    if result.verdict == "hold":
        return f"Every line is sound, but look at this first: {kinds('warning')}."
    joined = ""
    if result.join_rate is not None:
        joined = (
            f", and {numbers.percent(result.join_rate)} of outcomes match an exposure by request and item"
        )
    return f"Every line is sound{joined}."


def _facts(result: Validation) -> tuple[Fact, ...]:
    facts = [Fact(log, numbers.count(count), "lines") for log, count in result.lines.items()]
    if result.join_rate is not None:
        facts.append(Fact("join rate", numbers.percent(result.join_rate), "outcomes that match an exposure"))
    if result.engagement_rate is not None:
        facts.append(
            Fact("engagement rate", numbers.percent(result.engagement_rate), "requests with an outcome")
        )
    return tuple(facts)


def _funnel(result: Validation) -> Chart | None:
    joins = result.join
    if joins is None or not joins.outcomes:
        return None
    return funnel(
        "From outcomes to credit",
        [
            ("outcomes", joins.outcomes),
            ("match an exposure", joins.outcomes_matched),
            ("within the window", joins.outcomes_in_window),
        ],
    )


def _findings(result: Validation) -> Section | None:
    if not result.findings:
        return None
    return quality_section(result.findings, "Findings: all are counted, the first of each kind are shown")


def _causes(result: Validation) -> Section | None:
    words = [*result.likely_causes]
    words += [
        f"{numbers.count(count)} defective {log} were left out of the join."
        for log, count in result.left_out.items()
    ]
    return Section("Likely causes", tuple(words)) if words else None


def _rates(result: Validation) -> Section | None:
    if not result.slices:
        return None
    tables = []
    for dimension in dict.fromkeys(row.dimension for row in result.slices):
        rows = tuple(
            (
                row.value,
                numbers.count(row.exposures),
                numbers.count(row.outcomes),
                "" if row.join_rate is None else numbers.percent(row.join_rate),
                "" if row.engagement_rate is None else numbers.percent(row.engagement_rate),
            )
            for row in result.slices
            if row.dimension == dimension
        )
        columns = (
            *text_columns(dimension.replace("_", " ")),
            *number_columns("exposures", "outcomes", "join rate", "engagement rate"),
        )
        tables.append(Table(f"Rates by {dimension.replace('_', ' ')}", columns, rows))
    words = (
        "The join rate is the share of outcomes that match an exposure by request and item. The engagement "
        "rate is the share of requests with an outcome in the window; it says how people like the lists, and "
        "nothing about the logs."
    )
    return Section("Rates", (words,), tables=tuple(tables))
