"""The report as Markdown: the same story, charts given in words."""

from __future__ import annotations

import re
from collections.abc import Iterable

from recsys.contracts.reports import AnyReport
from recsys.evaluation.report.sources import created_at, source_tables
from recsys.evaluation.report.story import Badge, Cell, Chart, Story, Table

_SPECIAL = re.compile(r"([\\`*_\[\]|#~])")


def render_markdown(report: AnyReport, story: Story) -> str:
    """Return the document; strings of the logs cannot become markup, links or further table cells."""
    return "\n".join(_lines(report, story)) + "\n"


def _lines(report: AnyReport, story: Story) -> Iterable[str]:
    yield f"# {plain(story.title)}"
    yield f"\n**{plain(story.verdict.text)}**: {plain(story.headline)}"
    if story.facts:
        yield ""
        for fact in story.facts:
            note = f" ({plain(fact.note)})" if fact.note else ""
            yield f"- {plain(fact.label)}: {plain(fact.value)}{note}"
    if report.gates:
        yield "\n## Gates\n"
        for number, gate in enumerate(report.gates, 1):
            verdict = gate.verdict.replace("_", " ")
            yield f"{number}. {plain(gate.name.replace('_', ' '))}: **{verdict}**. {plain(gate.detail)}"
    if story.lead:
        yield from _chart(story.lead)
    if report.warnings:
        yield "\n## Read this first\n"
        for warning in report.warnings:
            yield f"- {plain(warning.code)}: {plain(warning.detail)}"
    for section in story.sections:
        yield f"\n## {plain(section.title)}"
        for paragraph in section.paragraphs:
            yield f"\n{plain(paragraph)}"
        for chart in section.charts:
            yield from _chart(chart)
        for table in section.tables:
            yield from _table(table)
    yield "\n## Provenance"
    for table in source_tables(report):
        yield from _table(table)
    yield f"\nRun {plain(report.run_id)}, {created_at(report)}"


def _chart(chart: Chart) -> Iterable[str]:
    yield f"\n*{plain(chart.title)}.* {plain(chart.description)}"


def _table(table: Table) -> Iterable[str]:
    yield f"\n{plain(table.caption)}:\n"
    yield "| " + " | ".join(plain(column.title) for column in table.columns) + " |"
    yield "|" + "|".join("--:" if column.is_number else "---" for column in table.columns) + "|"
    for row in table.rows:
        yield "| " + " | ".join(_cell(cell) for cell in row) + " |"


def _cell(cell: Cell) -> str:
    return f"**{plain(cell.text)}**" if isinstance(cell, Badge) else plain(cell)


def plain(text: str) -> str:
    """Return ``text`` on one line with everything escaped that Markdown or HTML would read as markup."""
    line = " ".join(text.split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(r"\\\1", line)
