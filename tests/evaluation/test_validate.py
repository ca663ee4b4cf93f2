from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys.cli.main import run
from recsys.contracts.errors import EvaluationError
from recsys.evaluation import log_blocks
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
        (lines(exposure(latency_ms=float("nan"))), "not_finite", "latency_ms"),
        (lines(exposure(schema="v2")), "unknown_field", ""),
        (lines({"request_id": "r"}), "missing_field", ""),
        (lines(exposure(items=[{"item_id": "a", "rank": 0}])), "wrong_value", "items[0].rank"),
        (lines(exposure(ts="2026-02-01T00:00:00Z")), "clock_in_future", "ts"),
        (lines(exposure(ts="1990-01-01T00:00:00Z")), "clock_too_old", "ts"),
        (lines(exposure(user_id="anna")), "not_a_pseudonym", "user_id"),
        (lines(exposure(context={"a": "x"}, latency_ms=1e400)), "not_finite", "latency_ms"),
        ('{"request_id": ": NaN, ", "user_id": 1}\n', "wrong_value", "user_id"),
        (', {"value": NaN}\n', "not_json", ""),
        ("\n", "not_json", ""),
        ("\ufeff" + lines(exposure("r2")), "byte_order_mark", ""),
        (
            lines(exposure(items=[{"item_id": "a", "rank": r} for r in (1, 2)])),
            "duplicate_item",
            "items[].item_id",
        ),
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
    result = check(tmp_path, lines(exposure("first")) + broken)
    assert result.verdict == "failed"
    assert [finding.kind for finding in result.findings] == [kind]
    example = result.findings[0].examples[0]
    assert (example.line, example.field) == (2, field)
    assert example.reason


def test_a_clock_that_the_service_takes_is_no_defect(tmp_path: Path) -> None:
    served, ahead = exposure("r1"), (NOW + timedelta(hours=20)).isoformat()
    result = check(tmp_path, lines(served, exposure("r2", ts=ahead)), lines(click("r1", ts=ahead)))
    assert result.verdict == "hold"
    kinds = [(one.log, one.kind, one.severity) for one in result.findings if one.kind.startswith("clock")]
    assert kinds == [("exposures", "clock_ahead", "warning"), ("outcomes", "clock_ahead", "warning")]
    beyond = (NOW + timedelta(hours=25)).isoformat()
    failed = check(tmp_path, lines(served), lines(click("r1", ts=beyond)))
    assert [(one.kind, one.severity) for one in failed.findings] == [("clock_in_future", "error")]


@pytest.mark.parametrize(
    ("value", "is_sound"), [(1e12, True), (-1e12, True), (1.1e12, False), (-1e308, False)]
)
def test_a_value_that_drowns_every_sum_is_a_defect(value: float, is_sound: bool, tmp_path: Path) -> None:
    bought = click("r1") | {"event_type": "conversion", "value": value}
    result = check(tmp_path, lines(exposure("r1")), lines(click("r1"), bought))
    found = [(one.kind, one.severity, one.examples[0].line, one.examples[0].field) for one in result.findings]
    assert found == ([] if is_sound else [("value_out_of_range", "error", 2, "value")])


def test_sound_logs_are_sane_with_both_rates(tmp_path: Path) -> None:
    result = check(tmp_path, lines(exposure("r1"), exposure("r2")), lines(click("r1")))
    assert (result.verdict, result.join_rate, result.engagement_rate) == ("sane", 1.0, 0.5)


def test_duplicate_upload_holds_and_is_counted(tmp_path: Path) -> None:
    served = [exposure(f"r{n}") for n in range(20)]
    result = check(tmp_path, lines(*served, served[0]), lines(click("r1")))
    assert result.verdict == "hold"
    assert [(finding.kind, finding.count) for finding in result.findings] == [("duplicate_record", 1)]


def test_empty_log_is_not_sane(tmp_path: Path) -> None:
    result = check(tmp_path, "", lines(click("r1")))
    assert result.verdict == "hold"
    assert ("exposures", "empty_log") in [(finding.log, finding.kind) for finding in result.findings]
    assert check(tmp_path, "not json\n").findings[0].kind == "not_json"


@pytest.mark.parametrize(
    ("name", "packed"),
    [
        ("e.jsonl", b""),
        ("e.jsonl.gz", b""),
        ("e.jsonl.gz", gzip.compress(b"", mtime=0)),  # each worker has to collect the same tests
        ("e.jsonl.zst", b""),
        ("e.jsonl.zst", pa.compress(b"", "zstd", asbytes=True)),
    ],
)
def test_log_without_a_line_is_named_empty_however_it_is_packed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, packed: bytes
) -> None:
    (tmp_path / name).write_bytes(packed)
    (tmp_path / "o.jsonl").write_text(lines(click()))
    logs = ["--exposures", str(tmp_path / name), "--outcomes", str(tmp_path / "o.jsonl")]
    result = validate_logs({"exposures": [logs[1]], "outcomes": [logs[3]]}, now=NOW)
    assert [(finding.log, finding.kind) for finding in result.findings] == [
        ("exposures", "empty_log"),
        ("outcomes", "low_join_rate"),
    ]
    assert result.verdict == "hold"
    assert run(["eval", "offline", *logs]) == 1
    assert "exposures: the files hold no line" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "packed"), [("e.jsonl.zst", b"\x28\xb5"), ("e.jsonl.gz", b"\x1f\x8b")])
def test_compressed_file_that_is_cut_in_its_header_is_truncated_not_empty(
    tmp_path: Path, name: str, packed: bytes
) -> None:
    (tmp_path / name).write_bytes(packed)
    result = validate_logs({"exposures": [str(tmp_path / name)]}, now=NOW)
    assert [finding.kind for finding in result.findings] == ["truncated_file"]


def test_mixed_schema_versions_are_named_as_the_cause_of_the_low_join_rate(tmp_path: Path) -> None:
    served = lines(exposure("r1"), exposure("r2", v=2))
    result = check(tmp_path, served, lines(click("r1"), click("r2")))
    assert result.verdict == "failed"
    assert result.likely_causes[0].startswith("1 defective exposures")
    assert any("another version" in cause for cause in result.likely_causes)


def test_low_join_rate_holds_and_suggests_the_request_id(tmp_path: Path) -> None:
    result = check(tmp_path, lines(exposure()), lines(click("other")))
    assert [finding.kind for finding in result.findings] == ["low_join_rate"]
    assert "request_id" in result.likely_causes[0]


def test_outcome_before_its_exposure_holds(tmp_path: Path) -> None:
    result = check(tmp_path, lines(exposure()), lines(click(ts="2025-12-31T00:00:00Z")))
    assert [finding.kind for finding in result.findings] == ["before_exposure"]


def test_gap_in_ranks_is_a_warning_and_holds(tmp_path: Path) -> None:
    result = check(tmp_path, lines(exposure(items=[{"item_id": "a", "rank": 2}])))
    assert result.verdict == "hold"
    assert [(found.kind, found.severity) for found in result.findings] == [("rank_gap", "warning")]


@pytest.mark.parametrize("ending", ["gz", "zst"])
@pytest.mark.parametrize("damage", ["truncated_file", "corrupt_file", "no_such_format"])
def test_damaged_compressed_file_is_a_finding_and_the_join_is_checked_still(
    tmp_path: Path, ending: str, damage: str
) -> None:
    plain = lines(*(exposure(f"r{n}", latency_ms=n * 0.37) for n in range(5000))).encode()
    packed = bytearray(gzip.compress(plain) if ending == "gz" else pa.compress(plain, "zstd", asbytes=True))
    if damage == "truncated_file":
        del packed[-40:]
    elif damage == "corrupt_file":
        middle = len(packed) // 2
        packed[middle : middle + 64] = b"\xff" * 64
    else:
        packed[:] = b"hello, hello, hello"
    bad = tmp_path / f"bad.jsonl.{ending}"
    bad.write_bytes(packed)
    (tmp_path / "good.jsonl").write_text(lines(exposure("r")))
    (tmp_path / "o.jsonl").write_text(lines(click("r")))
    exposures = [str(bad), str(tmp_path / "good.jsonl")]
    result = validate_logs({"exposures": exposures, "outcomes": [str(tmp_path / "o.jsonl")]}, now=NOW)
    assert result.verdict == "failed"
    kinds = {found.kind for found in result.findings}
    # Arrow writes zstd without checksums, so damage may unpack to text that is no JSON.
    assert kinds & {"truncated_file", "corrupt_file", "not_json"}
    if damage == "truncated_file":
        assert "truncated_file" in kinds
    assert result.join_rate == 1.0


@pytest.mark.parametrize("ending", ["gz", "zst"])
def test_compressed_file_of_several_frames_reads_whole(tmp_path: Path, ending: str) -> None:
    frames = [lines(exposure(name)).encode() for name in ("r1", "r2")]
    packed = [gzip.compress(f) if ending == "gz" else pa.compress(f, "zstd", asbytes=True) for f in frames]
    file = tmp_path / f"e.jsonl.{ending}"
    file.write_bytes(b"".join(packed))
    result = validate_logs({"exposures": [str(file)]}, now=NOW)
    assert (result.verdict, result.lines) == ("sane", {"exposures": 2})


def test_line_without_end_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_blocks, "MAX_LINE_BYTES", 1000)
    result = check(tmp_path, lines(exposure()) + "x" * 2_000_000)
    assert [finding.kind for finding in result.findings] == ["line_too_long"]


def test_defective_lines_are_left_out_of_the_join_and_counted(tmp_path: Path) -> None:
    broken = lines({"request_id": "r9"}) + '{"request_id": NaN\n'
    outcomes = lines(click("r1"), click("r2", item_id="other")) + lines(click("r1", value=float("nan")))
    result = check(tmp_path, lines(exposure("r1"), exposure("r2")) + broken, outcomes)
    assert result.verdict == "failed"
    assert {found.kind for found in result.findings} >= {"missing_field", "not_finite", "low_join_rate"}
    assert result.left_out["exposures"] == 2
    assert result.join is not None
    assert result.join.exposures == 2


def test_rates_are_given_by_day_surface_and_version(tmp_path: Path) -> None:
    served = [
        exposure("r1", context={"surface": "home", "algo_version": "1"}),
        exposure("r2", context={"surface": "cart"}),
    ]
    result = check(tmp_path, lines(*served), lines(click("r1"), click("r2", item_id="b"), click("gone")))
    rates = {(row.dimension, row.value): (row.join_rate, row.engagement_rate) for row in result.slices}
    assert rates["day", "2026-01-01"] == (1 / 3, 0.5)
    assert rates["surface", "home"] == (1.0, 1.0)
    assert rates["surface", "cart"] == (0.0, 0.0)
    assert rates["surface", "(no exposure)"] == (0.0, None)
    assert rates["algo_version", "(not given)"] == (0.0, 0.0)


def test_outcome_of_another_user_holds_and_suspects_the_salt(tmp_path: Path) -> None:
    result = check(tmp_path, lines(exposure()), lines(click(user_id="f" * 64)))
    assert (result.verdict, [found.kind for found in result.findings]) == ("hold", ["other_user"])
    assert "salt" in result.likely_causes[0]


def test_parquet_rows_are_checked_as_lines_are(tmp_path: Path) -> None:
    good = exposure("r1", latency_ms=1.0, context={"surface": "home"})
    rows = [good, exposure("r2", latency_ms=float("nan")), exposure("r3", items=None)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "e.parquet")
    result = validate_logs({"exposures": [str(tmp_path / "e.parquet")]}, now=NOW)
    examples = [(found.kind, found.examples[0].line, found.examples[0].field) for found in result.findings]
    assert examples == [("missing_field", 3, ""), ("not_finite", 2, "latency_ms")]
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 but no more")
    damaged = validate_logs({"exposures": [str(tmp_path / "bad.parquet")]}, now=NOW)
    assert [finding.kind for finding in damaged.findings] == ["corrupt_file"]


def test_join_rate_threshold_is_a_share(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="share"):
        validate_logs({"exposures": [str(tmp_path)]}, min_join_rate=95)


@pytest.mark.parametrize(
    "user", ["A" * 64, "a" * 63 + " ", "a" * 62 + "  ", "a" * 66, "g" * 64, "\u0663" * 64, "a"]
)
def test_only_lower_case_hexadecimal_is_a_pseudonym(tmp_path: Path, user: str) -> None:
    result = check(tmp_path, lines(exposure(user_id=user)))
    assert [finding.kind for finding in result.findings] == ["not_a_pseudonym"]


def test_command_without_logs_is_a_usage_error_and_with_them_gives_the_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["eval", "validate"]) == 1
    assert "--exposures" in capsys.readouterr().err
    (tmp_path / "e.jsonl").write_text(lines(exposure(), exposure("r2")))
    (tmp_path / "o.jsonl").write_text(lines(click(ts="2026-01-01T02:00:00Z")))
    command = ["eval", "validate", "--json", "--exposures", str(tmp_path / "e.jsonl")]
    command += ["--outcomes", str(tmp_path / "o.jsonl")]
    assert run(command) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["verdict"], told["engagement_rate"]) == ("sane", 0.5)
    assert [(file["role"], file["bytes"]) for file in told["inputs"]] == [
        (role, (tmp_path / f"{role[0]}.jsonl").stat().st_size) for role in ("exposures", "outcomes")
    ]
    assert run([*command, "--window", "1h"]) == 0
    assert json.loads(capsys.readouterr().out)["engagement_rate"] == 0.0
    assert run([*command, "--window", "soon"]) == 1
    capsys.readouterr()
    for page in (["eval", "--help"], ["eval", "validate", "--help"]):
        assert run(page) == 0
        assert "Exit codes" in capsys.readouterr().out


def test_join_rates_are_written_for_prometheus(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    served = [
        exposure("r1", context={"tenant_id": "t", "surface": "home"}),
        exposure("r2", context={"tenant_id": "t", "surface": "cart"}),
        exposure("r3", context={"tenant_id": "t", "surface": "no outcome"}),
    ]
    (tmp_path / "e.jsonl").write_text(lines(*served))
    (tmp_path / "o.jsonl").write_text(lines(click("r1"), click("r2", item_id="b"), click("gone")))
    command = ["eval", "validate", "--exposures", str(tmp_path / "e.jsonl")]
    to = ["--prometheus", str(tmp_path / "join.prom")]
    assert run([*command, "--outcomes", str(tmp_path / "o.jsonl"), *to]) == 2
    written = [line for line in (tmp_path / "join.prom").read_text().splitlines() if line[0] != "#"]
    assert written == [
        'recsys_join_rate{surface="cart",tenant="t"} 0.0',
        'recsys_join_rate{surface="home",tenant="t"} 1.0',
        f'recsys_join_rate{{surface="(all)",tenant=""}} {1 / 3}',
    ]
    capsys.readouterr()
    assert run([*command, *to]) == 1
    assert "no join rate" in capsys.readouterr().err


def test_a_request_that_was_sent_again_is_a_note_and_no_hold(tmp_path: Path) -> None:
    record = {
        "request_id": "r",
        "user_id": "a" * 64,
        "ts": "2026-01-01T00:00:00Z",
        "items": [{"item_id": "i", "rank": 1}],
        "latency_ms": 900.0,
    }
    again = record | {"ts": "2026-01-01T00:00:02Z", "latency_ms": 3.0}
    file = tmp_path / "e.jsonl"
    file.write_text("".join(json.dumps(one) + "\n" for one in (record, again)))
    result = validate_logs({"exposures": [str(file)]}, now=NOW)
    assert result.verdict == "sane"
    assert [(one.kind, one.severity, one.count) for one in result.findings] == [
        ("retried_request", "note", 1)
    ]
