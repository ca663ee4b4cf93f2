"""Logs in another shape: what a mapping makes of them, and what it leaves for the check to name."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys.cli.main import run
from recsys.contracts.errors import EvaluationError
from recsys.evaluation.record_mapping import read_mappings
from recsys.evaluation.validate import Validation, validate_logs

NOW = datetime(2026, 1, 2, tzinfo=UTC)
USER = "0123456789abcdef" * 4
MAPPING = """
[exposures]
request_id = "req.id"
user_id = "visitor"
ts = { from = "at", unit = "ms" }
items = { from = "results", item_id = "sku", propensity = "p" }
context = { surface = "page.name", "tenant_id" = "shop" }
latency_ms = "took"

[outcomes]
request_id = "req"
user_id = "visitor"
ts = { from = "at", unit = "s" }
item_id = "sku"
event_type = { from = "action", click = ["open"], conversion = ["buy", "order"] }
"""
SHOWN = {
    "req": {"id": 7},
    "visitor": USER,
    "at": 1_767_225_600_000,
    "results": [{"sku": 1, "p": 0.5, "title": "left out"}, {"sku": "b", "p": 0.25}],
    "page": {"name": "home"},
    "shop": 3,
    "took": 12.5,
    "unknown": True,
}
BOUGHT = {"req": "7", "visitor": USER, "at": 1_767_225_601, "sku": "1", "action": "order"}


def check(folder: Path, shown: str, came: str, mapping: str = MAPPING) -> Validation:
    (folder / "shown.jsonl").write_text(shown)
    (folder / "came.jsonl").write_text(came)
    (folder / "mapping.toml").write_text(mapping)
    logs = {"exposures": [str(folder / "shown.jsonl")], "outcomes": [str(folder / "came.jsonl")]}
    return validate_logs(logs, now=NOW, mapping=folder / "mapping.toml")


def test_logs_in_another_shape_are_sane_and_join(tmp_path: Path) -> None:
    found = check(tmp_path, json.dumps(SHOWN) + "\n", json.dumps(BOUGHT) + "\n")
    assert (found.verdict, found.join_rate, found.engagement_rate) == ("sane", 1.0, 1.0)
    assert [(row.value, row.outcomes) for row in found.slices if row.dimension == "surface"] == [("home", 1)]
    assert [(row.tenant, row.surface) for row in found.surfaces] == [("3", "home")]
    assert [file.role for file in found.inputs] == ["exposures", "outcomes", "mapping"]


def test_what_the_mapping_does_not_find_is_named_with_its_line(tmp_path: Path) -> None:
    broken = [
        {**SHOWN, "visitor": None},
        {**SHOWN, "at": "soon"},
        {key: value for key, value in SHOWN.items() if key != "results"},
        {**SHOWN, "results": [{"p": 0.5}]},
        {**SHOWN, "took": "fast"},
    ]
    text = "".join(json.dumps(record) + "\n" for record in broken)
    viewed = json.dumps({**BOUGHT, "action": "view"})
    found = check(tmp_path, text + '{"req": {"id": NaN}}\nnone\n{"req"', viewed)
    told = {
        (finding.kind, example.line, example.field)
        for finding in found.findings
        for example in finding.examples
    }
    assert told >= {
        ("wrong_value", 1, "user_id"),
        ("wrong_value", 2, "ts"),
        ("missing_field", 3, ""),
        ("missing_field", 4, "items[0]"),
        ("wrong_value", 5, "latency_ms"),
        ("not_finite", 6, "req.id"),
        ("not_json", 7, ""),
        ("truncated_last_line", 8, ""),
        ("wrong_value", 1, "event_type"),
    }
    assert found.verdict == "failed"


def test_parquet_in_another_shape_is_read_by_its_columns(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist([{**BOUGHT, "sku": 1}]), tmp_path / "came.parquet")
    (tmp_path / "mapping.toml").write_text(MAPPING)
    found = validate_logs(
        {"outcomes": [str(tmp_path / "came.parquet")]}, now=NOW, mapping=tmp_path / "mapping.toml"
    )
    assert (found.verdict, found.lines) == ("sane", {"outcomes": 1})


def test_ranked_lists_of_objects_become_lists_of_ids(tmp_path: Path) -> None:
    record = {"request_id": "r", "user_id": USER, "ts": "2026-01-01T00:00:00Z", "top": [{"id": 1}, {"id": 2}]}
    (tmp_path / "lists.jsonl").write_text(json.dumps(record))
    (tmp_path / "mapping.toml").write_text('[ranklists]\nitems = { from = "top", item_id = "id" }\n')
    found = validate_logs(
        {"ranklists": [str(tmp_path / "lists.jsonl")]}, now=NOW, mapping=tmp_path / "mapping.toml"
    )
    assert found.verdict == "sane"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[exposure]\n", "exposure"),
        ('[exposures]\nrank = "r"\n', "rank"),
        ('[exposures]\nts = { from = "t", unit = "h" }\n', "unit"),
        ("[exposures\n", "mapping.toml"),
    ],
)
def test_a_mapping_that_is_none_is_an_error_with_its_field(tmp_path: Path, text: str, named: str) -> None:
    (tmp_path / "mapping.toml").write_text(text)
    with pytest.raises(EvaluationError, match=named):
        read_mappings(tmp_path / "mapping.toml")
    with pytest.raises(EvaluationError, match="cannot be read"):
        read_mappings(tmp_path / "none.toml")


def test_command_writes_the_check_as_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check(tmp_path, json.dumps(SHOWN) + "\n", json.dumps(BOUGHT) + "\n" + json.dumps({**BOUGHT, "req": "8"}))
    command = ["eval", "validate", "--mapping", str(tmp_path / "mapping.toml")]
    command += ["--exposures", str(tmp_path / "shown.jsonl"), "--outcomes", str(tmp_path / "came.jsonl")]
    assert run([*command, "--out", str(tmp_path / "report")]) == 2
    assert "report.html" in capsys.readouterr().out.replace("\n", "")
    page = (tmp_path / "report" / "report.html").read_text()
    assert ">Hold</span>" in page
    assert "1 low join rate" in page
    assert "From outcomes to credit" in page
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert (report["mode"], report["validation"]["verdict"]) == ("validate", "hold")
    assert "Likely causes" in (tmp_path / "report" / "report.md").read_text()
    assert run([*command, "--out", str(tmp_path / "again")]) == 2
    again = json.loads((tmp_path / "again" / "report.json").read_text())
    for one in (report, again):
        del one["run_id"], one["created_at"]
    assert report == again
