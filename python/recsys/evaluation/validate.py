"""The check of logs before anything is measured: sound lines, and exposures that join with their outcomes.

The verdict is ``failed`` when a line is defective, ``hold`` when the logs are sound but join worse than
the threshold or
hold duplicates, conflicts or outcomes before their exposure, and ``sane`` otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal

from msgspec import Struct

from recsys.contracts.errors import EvaluationError
from recsys.evaluation.findings import Example, Finding, Findings
from recsys.evaluation.joins import JoinCounts, count_join, open_join
from recsys.evaluation.logs import DEFAULT_MEMORY, is_url, resolve_logs
from recsys.evaluation.validate_lines import Role, check_lines

Verdict = Literal["sane", "hold", "failed"]

MAX_CLOCK_AHEAD = timedelta(minutes=5)
MAX_AGE = timedelta(days=3650)
MIN_JOIN_RATE = 0.95


class Validation(Struct, frozen=True):
    """The verdict, lines read by log, the findings, the funnel of the join (when it could be made) and
    likely causes."""

    verdict: Verdict
    lines: dict[str, int]
    findings: list[Finding]
    join: JoinCounts | None
    join_rate: float | None
    engagement_rate: float | None
    likely_causes: list[str]


def validate_logs(
    logs: dict[Role, Sequence[str]],
    *,
    now: datetime | None = None,
    min_join_rate: float = MIN_JOIN_RATE,
    shown: int = 10,
    memory: str = DEFAULT_MEMORY,
) -> Validation:
    """Return what is wrong with ``logs`` (role to paths); ``now`` is the clock that future times are
    seen from.

    Raises EvaluationError when a path holds no JSON Lines file.
    """
    clock = now or datetime.now(UTC)
    findings = Findings(shown)
    lines: dict[str, int] = {}
    for role, paths in logs.items():
        lines[role] = 0
        for file in resolve_logs(paths, role):
            if is_url(file) or file.endswith(".parquet"):
                raise EvaluationError(
                    f"{role}: {file} cannot be checked by line; give local JSON Lines files"
                )
            lines[role] += check_lines(
                file, role, findings, oldest=clock - MAX_AGE, newest=clock + MAX_CLOCK_AHEAD
            )
    has_defects = bool(findings.ordered())
    counts: JoinCounts | None = None
    if not has_defects and logs.get("exposures") and logs.get("outcomes"):
        with open_join(
            logs["exposures"], logs["outcomes"], logs.get("assignments", ()), memory=memory
        ) as connection:
            counts = count_join(connection)
        _add_join_findings(counts, findings, min_join_rate)
    verdict: Verdict = "failed" if has_defects else "hold" if findings.ordered() else "sane"
    return Validation(
        verdict=verdict,
        lines=lines,
        findings=findings.ordered(),
        join=counts,
        join_rate=counts.join_rate if counts else None,
        engagement_rate=counts.engagement_rate if counts else None,
        likely_causes=_likely_causes(findings),
    )


def _add_join_findings(counts: JoinCounts, findings: Findings, min_join_rate: float) -> None:
    numbers = {
        ("exposures", "duplicate_record"): counts.exposure_duplicates,
        ("exposures", "conflicting_request"): counts.exposure_conflicts,
        ("outcomes", "duplicate_record"): counts.outcome_duplicates,
        ("outcomes", "before_exposure"): counts.outcomes_before_exposure,
        ("assignments", "request_in_two_arms"): counts.requests_in_two_arms,
    }
    for (log, kind), number in numbers.items():
        if number:
            example = Example("", None, "request_id", f"{number} records in all files of {log}")
            findings.add(log, kind, example, severity="warning", count=number)
    rate = counts.join_rate
    if rate is not None and rate < min_join_rate:
        reason = f"{rate:.2%} of outcomes match an exposure by request and item, below {min_join_rate:.2%}"
        example = Example("", None, "request_id, item_id", reason)
        missing = counts.outcomes - counts.outcomes_matched
        findings.add("outcomes", "low_join_rate", example, severity="warning", count=missing)


def _likely_causes(findings: Findings) -> list[str]:
    causes = {
        "truncated_last_line": "A file was cut off while it was written or copied: upload it again.",
        "truncated_file": "A compressed file was cut off: upload it again.",
        "low_join_rate": "The client does not send back the request_id, or exposure files are missing.",
        "not_a_pseudonym": "Ids were logged without the tenant's salt: hash them before they are written.",
        "duplicate_record": "Files were uploaded twice; duplicates are dropped from every measurement.",
        "clock_in_future": "The clock of a client or host is ahead.",
    }
    return [cause for kind, cause in causes.items() if findings.count(kind)]
