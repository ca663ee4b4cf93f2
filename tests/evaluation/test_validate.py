from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from recsys.evaluation.validate import Validation, validate_logs

NOW = datetime(2026, 1, 2, tzinfo=UTC)
USER = "0123456789abcdef" * 4


def exposure(request: str = "r", **changes: object) -> dict[str, object]:
    record: dict[str, object] = {
        "request_id": request,
        "user_id": USER,
        "ts": "2026-01-01T00:00:00Z",
        "items": [{"item_id": "a", "rank": 1}],
    }
    return record | changes


def click(request: str = "r", **changes: object) -> dict[str, object]:
    record: dict[str, object] = {
        "request_id": request,
        "user_id": USER,
        "item_id": "a",
        "event_type": "click",
        "ts": "2026-01-01T00:00:01Z",
    }
    return record | changes


def check(folder: Path, exposures: str, outcomes: str | None = None) -> Validation:
    (folder / "e.jsonl").write_text(exposures)
    if outcomes is None:
        return validate_logs({"exposures": [str(folder / "e.jsonl")]}, now=NOW)
    (folder / "o.jsonl").write_text(outcomes)
    return validate_logs(
        {"exposures": [str(folder / "e.jsonl")], "outcomes": [str(folder / "o.jsonl")]}, now=NOW
    )


def lines(*records: dict[str, object]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


@pytest.mark.parametrize(
    ("broken", "kind", "field"),
    [
        ('{"request_id": "r2", "us', "truncated_last_line", ""),
        (lines(exposure(latency_ms=float("nan"))), "not_finite", ""),
        (lines(exposure(schema="v2")), "unknown_field", ""),
        (lines({"request_id": "r"}), "missing_field", ""),
        (lines(exposure(items=[{"item_id": "a", "rank": 0}])), "wrong_value", "items[0].rank"),
        (lines(exposure(ts="2026-02-01T00:00:00Z")), "clock_in_future", "ts"),
        (lines(exposure(ts="1990-01-01T00:00:00Z")), "clock_too_old", "ts"),
        (lines(exposure(user_id="anna")), "not_a_pseudonym", "user_id"),
        (lines(exposure(items=[{"item_id": "a", "rank": 2}])), "rank_gap", "items[].rank"),
        (
            lines(exposure(items=[{"item_id": i, "rank": 1} for i in "ab"])),
            "duplicate_rank",
            "items[].rank",
        ),
        (
            lines(exposure(items=[{"item_id": "a", "rank": 1, "propensity": 0.0}])),
            "zero_propensity",
            "items[].propensity",
        ),
    ],
)
def test_defect_is_named_with_its_line_and_fails(tmp_path: Path, broken: str, kind: str, field: str) -> None:
    result = check(tmp_path, lines(exposure()) + broken)
    assert result.verdict == "failed"
    assert [finding.kind for finding in result.findings] == [kind]
    example = result.findings[0].examples[0]
    assert (example.line, example.field) == (2, field)
    assert example.reason


def test_sound_logs_are_sane_with_both_rates(tmp_path: Path) -> None:
    result = check(tmp_path, lines(exposure("r1"), exposure("r2")), lines(click("r1")))
    assert (result.verdict, result.join_rate, result.engagement_rate) == ("sane", 1.0, 0.5)


def test_duplicate_upload_holds_and_is_counted(tmp_path: Path) -> None:
    served = [exposure(f"r{n}") for n in range(20)]
    result = check(tmp_path, lines(*served, served[0]), lines(click("r1")))
    assert result.verdict == "hold"
    assert [(finding.kind, finding.count) for finding in result.findings] == [("duplicate_record", 1)]


def test_low_join_rate_holds_and_suggests_the_request_id(tmp_path: Path) -> None:
    result = check(tmp_path, lines(exposure()), lines(click("other")))
    assert [finding.kind for finding in result.findings] == ["low_join_rate"]
    assert "request_id" in result.likely_causes[0]


def test_outcome_before_its_exposure_holds(tmp_path: Path) -> None:
    result = check(tmp_path, lines(exposure()), lines(click(ts="2025-12-31T00:00:00Z")))
    assert [finding.kind for finding in result.findings] == ["before_exposure"]
