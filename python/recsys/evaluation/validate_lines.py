"""The check of single records: what a scan doubts becomes findings with file, line, field and reason."""

from __future__ import annotations

from datetime import datetime

from recsys.evaluation.findings import Defect, Example, Findings
from recsys.evaluation.inputs import Source
from recsys.evaluation.validate_records import Record, find_defects


class LineFindings:
    """The inspector of a check of logs; times outside ``oldest`` to ``newest`` are clock skew."""

    def __init__(self, findings: Findings, *, oldest: datetime, newest: datetime) -> None:
        self._findings = findings
        self._oldest = oldest
        self._newest = newest

    def look_at(self, source: Source, number: int, record: Record) -> None:
        """Add what does not make sense about ``record``."""
        for kind, severity, field, reason in find_defects(record, self._oldest, self._newest):
            example = Example(source.name, number, field, reason)
            self._findings.add(source.role, kind, example, severity=severity)

    def look_into(self, source: Source, number: int, defect: Defect) -> None:
        """Add ``defect``."""
        self._findings.add(
            source.role, defect.kind, Example(source.name, number, defect.field, defect.reason)
        )
