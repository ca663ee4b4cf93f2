"""The tables that say where a report comes from, the same for every mode."""

from __future__ import annotations

from recsys.contracts.reports import AnyReport, Setting
from recsys.evaluation.report import numbers
from recsys.evaluation.report.story import Column, Table, text_columns


def source_tables(report: AnyReport) -> tuple[Table, ...]:
    """Return inputs with their digests, the settings in effect, and the versions of what computed."""
    inputs = Table(
        "Inputs",
        (*text_columns("role", "file"), Column("size", is_number=True), Column("sha256")),
        tuple((file.role, file.name, numbers.byte_size(file.bytes), file.sha256) for file in report.inputs),
    )
    settings = Table(
        "Settings in effect",
        text_columns("setting", "value"),
        tuple((name, _written(value)) for name, value in sorted(report.effective_config.items())),
    )
    seed = (("seed", str(report.seed)),) if report.seed is not None else ()
    versions = Table(
        "Versions",
        text_columns("what", "version"),
        (("recsys", report.version), *sorted(report.environment.items()), *seed),
    )
    return tuple(table for table in (inputs, settings, versions) if table.rows)


def created_at(report: AnyReport) -> str:
    """Return the time of the report, in RFC 3339 to the second."""
    return report.created_at.isoformat(timespec="seconds").replace("+00:00", "Z")


def _written(value: Setting) -> str:
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(str(part) for part in value)
    return str(value)
