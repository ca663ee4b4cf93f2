"""The check of logs before anything is measured: sound lines, and exposures that join with their outcomes.

The verdict is ``failed`` when a line or file is defective, ``hold`` when there are only warnings (a join rate
below the threshold, an empty log, duplicates, conflicts, gaps in ranks, outcomes before their exposure or of
another user), and ``sane`` otherwise. The join is checked in any case, on the records that are sound.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from msgspec import Struct

from recsys.contracts.errors import EvaluationError
from recsys.contracts.reports import InputFile
from recsys.evaluation.findings import Example, Finding, Findings
from recsys.evaluation.inputs import Role, fingerprint_file, open_inputs
from recsys.evaluation.joins import DEFAULT_WINDOW, JoinCounts, open_join
from recsys.evaluation.joins_stage import Staged
from recsys.evaluation.logs import DEFAULT_MEMORY
from recsys.evaluation.record_mapping import read_mappings
from recsys.evaluation.validate_joins import JoinCheck, SliceRates, SurfaceJoins, check_join
from recsys.evaluation.validate_lines import LineFindings

Verdict = Literal["sane", "hold", "failed"]

MAX_CLOCK_AHEAD = timedelta(minutes=5)
MAX_AGE = timedelta(days=3650)
MIN_JOIN_RATE = 0.95

_CAUSES = {
    "truncated_last_line": "A file was cut off while it was written or copied: upload it again.",
    "truncated_file": "A compressed file was cut off: upload it again.",
    "byte_order_mark": "The file was saved with the mark of an encoding: save it as UTF-8 without one.",
    "corrupt_file": "A file was damaged, or is not what its name says: upload it again.",
    "not_a_pseudonym": "Ids were logged without the tenant's salt: hash them before they are written.",
    "other_user": "Outcomes and exposures were hashed with different salts, or from different ids: one salt "
    "per tenant, and user_id before anonymous_id before session_id on both sides.",
    "duplicate_record": "Files were uploaded twice; duplicates are dropped from every measurement.",
    "unknown_field": "Records of another version, or another kind, are mixed in: send one version per log.",
    "empty_log": "Nothing was logged, or the path is that of another day or service.",
    "clock_ahead": "The clock of a client is ahead; the service takes such events.",
    "clock_in_future": "The clock of a client or host is ahead.",
    "value_out_of_range": "A client sent a value that cannot be true; the service refuses such events.",
    "before_exposure": "The clocks of client and service differ.",
}


class Validation(Struct, frozen=True):
    """The verdict with its evidence.

    ``inputs`` with their digests; ``lines`` read by log; the findings; the funnel of the join, its two rates
    (0..1), the same by slice, and what joins by tenant and surface, None and empty unless exposures and
    outcomes were given; ``left_out`` of the join, lines by log, because they are defective; likely causes in
    words.
    """

    verdict: Verdict
    inputs: list[InputFile]
    lines: dict[str, int]
    findings: list[Finding]
    join: JoinCounts | None
    join_rate: float | None
    engagement_rate: float | None
    slices: list[SliceRates]
    surfaces: list[SurfaceJoins]
    left_out: dict[str, int]
    likely_causes: list[str]


def validate_logs(
    logs: Mapping[Role, Sequence[str]],
    *,
    now: datetime | None = None,
    min_join_rate: float = MIN_JOIN_RATE,
    shown: int = 10,
    window: timedelta = DEFAULT_WINDOW,
    memory: str = DEFAULT_MEMORY,
    tenant: str | None = None,
    mapping: Path | None = None,
    allow_tenants: bool = True,
) -> Validation:
    """Return what is wrong with ``logs`` (role to paths).

    ``now`` is the clock that future times are seen from; ``mapping`` is a file for logs in another shape
    (:mod:`recsys.evaluation.record_mapping`). Of ``tenant`` alone when it is given; else of all, unless
    ``allow_tenants`` is false. Raises EvaluationError when a path or URL holds no
    log file, or a file cannot be opened.
    """
    if not 0.0 <= min_join_rate <= 1.0:
        raise EvaluationError(f"the smallest join rate is a share from 0 to 1, not {min_join_rate:g}")
    clock = now or datetime.now(UTC)
    bounds = (clock - MAX_AGE, clock + MAX_CLOCK_AHEAD)
    findings = Findings(shown)
    joined: JoinCheck | None = None
    with (
        open_inputs(logs, read_mappings(mapping) if mapping else None) as inputs,
        open_join(
            inputs,
            window=window,
            memory=memory,
            with_names=False,
            inspector=LineFindings(findings, oldest=bounds[0], newest=bounds[1]),
            bounds=bounds,
            tenant=tenant,
            allow_tenants=allow_tenants,
        ) as join,
    ):
        staged = {role: join.staged[role] for role in logs}
        for role, log in staged.items():
            _add_copies(role, log, findings)
            if log.lines == 0 and not findings.in_log(role):
                example = Example("", None, "", "the files of this log hold no line")
                findings.add(role, "empty_log", example, severity="warning")
        if logs.get("exposures") and logs.get("outcomes"):
            joined = check_join(join, findings, min_join_rate=min_join_rate)
        files = inputs.fingerprint() + ([fingerprint_file("mapping", mapping)] if mapping else [])
        for name in inputs.find_changed():
            role = next(source.role for source in inputs.sources if source.name == name)
            reason = "the file changed while it was read; numbers and digest may be of different contents"
            findings.add(role, "changed_file", Example(name, None, "", reason), severity="warning")
    found = findings.ordered()
    verdict: Verdict = "hold" if any(finding.severity != "note" for finding in found) else "sane"
    if any(finding.severity == "error" for finding in found):
        verdict = "failed"
    left_out = {role: log.lines - log.records for role, log in staged.items()}
    return Validation(
        verdict=verdict,
        inputs=files,
        lines={role: log.lines for role, log in staged.items()},
        findings=found,
        join=joined.counts if joined else None,
        join_rate=joined.counts.join_rate if joined else None,
        engagement_rate=joined.counts.engagement_rate if joined else None,
        slices=joined.slices if joined else [],
        surfaces=joined.surfaces if joined else [],
        left_out={role: count for role, count in left_out.items() if count > 0},
        likely_causes=_find_causes(findings, joined, left_out.get("exposures", 0)),
    )


def _add_copies(role: Role, log: Staged, findings: Findings) -> None:
    if log.copies:
        example = Example("", None, "", f"{log.copies:,} in all files are copies of another")
        findings.add(role, "duplicate_record", example, severity="warning", count=log.copies)
    if log.retries:
        reason = f"{log.retries:,} in all files have user, context and items of another of their request"
        example = Example("", None, "request_id", f"{reason}: it was sent again; the earliest is kept")
        findings.add(role, "retried_request", example, severity="note", count=log.retries)
    if log.conflicts:
        reason = (
            f"{log.conflicts:,} in all files share a request_id with a different record; the earliest is kept"
        )
        example = Example("", None, "request_id", reason)
        findings.add(role, "conflicting_request", example, severity="warning", count=log.conflicts)


def _find_causes(findings: Findings, joined: JoinCheck | None, exposures_left_out: int) -> list[str]:
    causes = [cause for kind, cause in _CAUSES.items() if findings.count(kind)]
    if joined and findings.count("low_join_rate"):
        if joined.counts.outcomes_matched == 0:
            causes.insert(0, "No outcome matches: the client does not send back the request_id it was given.")
        elif exposures_left_out:
            causes.insert(0, f"{exposures_left_out:,} defective exposures match nothing: mend those first.")
        else:
            causes.insert(0, "Some clients do not send back the request_id, or exposure files are missing.")
    return causes
