"""A report on disk: three files in one folder, each complete or not there."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import msgspec

from recsys.contracts.errors import EvaluationError
from recsys.contracts.reports import AnyReport
from recsys.evaluation.report.html import render_html
from recsys.evaluation.report.markdown import render_markdown
from recsys.evaluation.report.story import Story


@dataclass(frozen=True, slots=True)
class ReportFiles:
    """The files that were written."""

    json: Path
    markdown: Path
    html: Path


def write_report(out: Path, report: AnyReport, story: Story) -> ReportFiles:
    """Write ``report.json``, ``report.md`` and ``report.html`` to ``out``, replacing those of an earlier run.

    Everything is rendered before the first byte is written. ``EvaluationError`` when ``out`` cannot be.
    """
    made = ReportFiles(out / "report.json", out / "report.md", out / "report.html")
    contents = {
        made.json: report_json(report),
        made.markdown: render_markdown(report, story).encode(),
        made.html: render_html(report, story).encode(),
    }
    for path, content in contents.items():
        write_whole(path, content)
    return made


def report_json(report: AnyReport) -> bytes:
    """Return the indented JSON of a report."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"


def write_whole(path: Path, content: bytes) -> None:
    """Write a file by renaming a complete one into place; ``EvaluationError`` names a path that cannot be."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            partial.write_bytes(content)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise EvaluationError(f"{path} cannot be written: {error.strerror}") from error
