"""How an evaluation command tells its result: the report's files, JSON, or the gist on the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from recsys.cli.console import print_table, print_warning, stdout

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from recsys.contracts.reports import Report
    from recsys.evaluation.report.story import Story, Table

Out = Annotated[
    Path | None,
    Parameter(help="Folder for report.json, report.md and report.html; files there are replaced."),
]

TABLES_SHOWN = 2
"""Tables of a story that the terminal shows; the report has all of them."""


def tell(report: Report, story: Callable[[], Story], out: Path | None, *, as_json: bool) -> None:
    """Write the report to ``out`` when given, and print it as JSON, or its gist."""
    from recsys.evaluation.report.write import report_json, write_report

    told = None if as_json and out is None else story()
    files = write_report(out, report, told) if out is not None and told is not None else None
    if as_json:
        stdout().out(report_json(report).decode(), end="")
        return
    if told is not None:
        _print_story(report, told)
    if files is not None:
        stdout().print(f"report: {files.html}", soft_wrap=True)


def _print_story(report: Report, story: Story) -> None:
    stdout().print(f"{story.verdict.text}: {story.headline}", soft_wrap=True)
    for fact in story.facts:
        note = f" ({fact.note})" if fact.note else ""
        stdout().print(f"{fact.label}: {fact.value}{note}", soft_wrap=True)
    for gate in report.gates:
        verdict = gate.verdict.replace("_", " ")
        stdout().print(f"gate {gate.name.replace('_', ' ')}: {verdict}, {gate.detail}", soft_wrap=True)
    for warning in report.warnings:
        print_warning(f"{warning.code}: {warning.detail}")
    tables = [table for section in story.sections for table in section.tables]
    for table in tables[:TABLES_SHOWN]:
        _print_table(table)


def _print_table(table: Table) -> None:
    rows: Sequence[Sequence[object]] = [
        [cell if isinstance(cell, str) else cell.text for cell in row] for row in table.rows
    ]
    numeric = [column.is_number for column in table.columns]
    print_table([column.title for column in table.columns], rows, title=table.caption, numeric=numeric)
