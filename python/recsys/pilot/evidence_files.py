"""Evidence that commands left in files: reports, decisions, validations, drills, backups, capacity, alerting.

A file is known by what it says, not by its name, so that a team may keep them as it likes. Files that say
something else are passed over; one that cannot be read as JSON is told.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TypeVar

import msgspec
from msgspec import Struct

from recsys.contracts.decisions import DecisionKind
from recsys.pilot.alerting import Alerting

T = TypeVar("T", bound=Struct)
MAX_BYTES = 64 * 1024 * 1024


class ReportEvidence(Struct, frozen=True):
    """A ``report.v1``."""

    path: Path
    mode: str
    created_at: datetime
    decision: str


class DecisionEvidence(Struct, frozen=True):
    """A ``decision.v1``; ``at`` is when its file was written."""

    path: Path
    decision: DecisionKind
    at: datetime


class ValidationEvidence(Struct, frozen=True):
    """What ``recsys eval validate --json`` printed; ``at`` is when its file was written."""

    path: Path
    verdict: Literal["sane", "hold", "failed"]
    join_rate: float | None
    lines: dict[str, int]
    at: datetime


class DrillEvidence(Struct, frozen=True):
    """What a drill recorded; seconds to detect and to recover."""

    path: Path
    drill: str
    at: datetime
    passed: bool
    detected_s: float
    recovered_s: float


class BackupEvidence(Struct, frozen=True):
    """The manifest of a backup."""

    path: Path
    made_at: datetime


class CapacityEvidence(Struct, frozen=True):
    """A measurement of capacity: requests a second, 95th percentile in milliseconds, requests that failed."""

    path: Path
    at: datetime
    requests_per_s: float
    p95_ms: float
    failed: int = 0


class EvidenceFiles(Struct, frozen=True):
    """Everything that was found, each kind oldest first, and files that are damaged."""

    reports: list[ReportEvidence] = []
    decisions: list[DecisionEvidence] = []
    validations: list[ValidationEvidence] = []
    drills: list[DrillEvidence] = []
    backups: list[BackupEvidence] = []
    capacities: list[CapacityEvidence] = []
    alertings: list[Alerting] = []
    damaged: list[Path] = []


class _Executive(Struct):
    decision: str


class _Summary(Struct):
    executive: _Executive


class _Report(Struct):
    run_id: str
    mode: str
    created_at: datetime
    summary: _Summary


class _Decision(Struct):
    decision: DecisionKind
    control_variant: str
    candidate_variant: str


class _Validation(Struct):
    verdict: Literal["sane", "hold", "failed"]
    lines: dict[str, int]
    join_rate: float | None


class _Drill(Struct):
    drill: str
    at: datetime
    passed: bool
    detected_s: float
    recovered_s: float


class _Backup(Struct):
    made_at: datetime
    generation: int
    sha256: dict[str, str]


class _Capacity(Struct):
    at: datetime
    requests_per_s: float
    p95_ms: float
    failed: int


def read_evidence(folders: list[Path]) -> EvidenceFiles:
    """Return the evidence in the JSON files below ``folders``; a folder that is not there has none."""
    found = EvidenceFiles([], [], [], [], [], [], [], [])
    for path in _json_files(folders):
        data = path.read_bytes()
        try:
            document = msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            found.damaged.append(path)
            continue
        if isinstance(document, dict):
            _add(found, path, document)
    found.reports.sort(key=lambda one: one.created_at)
    found.decisions.sort(key=lambda one: one.at)
    found.validations.sort(key=lambda one: one.at)
    found.drills.sort(key=lambda one: one.at)
    found.backups.sort(key=lambda one: one.made_at)
    found.capacities.sort(key=lambda one: one.at)
    found.alertings.sort(key=lambda one: one.at)
    return found


def _json_files(folders: list[Path]) -> Iterator[Path]:
    seen: set[Path] = set()
    for folder in folders:
        for path in sorted(folder.rglob("*.json")) if folder.is_dir() else []:
            resolved = path.resolve()
            if resolved not in seen and path.is_file() and path.stat().st_size <= MAX_BYTES:
                seen.add(resolved)
                yield path


def _add(found: EvidenceFiles, path: Path, document: dict[str, object]) -> None:
    written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    if (report := _read(document, _Report)) is not None:
        decision = report.summary.executive.decision
        found.reports.append(ReportEvidence(path, report.mode, report.created_at, decision))
    elif (decided := _read(document, _Decision)) is not None:
        found.decisions.append(DecisionEvidence(path, decided.decision, written))
    elif (checked := _read(document, _Validation)) is not None:
        found.validations.append(
            ValidationEvidence(path, checked.verdict, checked.join_rate, checked.lines, written)
        )
    elif (drill := _read(document, _Drill)) is not None:
        found.drills.append(
            DrillEvidence(path, drill.drill, drill.at, drill.passed, drill.detected_s, drill.recovered_s)
        )
    elif (backup := _read(document, _Backup)) is not None:
        found.backups.append(BackupEvidence(path, backup.made_at))
    elif (capacity := _read(document, _Capacity)) is not None:
        found.capacities.append(
            CapacityEvidence(path, capacity.at, capacity.requests_per_s, capacity.p95_ms, capacity.failed)
        )
    elif (alerting := _read(document, Alerting)) is not None:
        found.alertings.append(alerting)


def _read(document: dict[str, object], kind: type[T]) -> T | None:
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError:
        return None
