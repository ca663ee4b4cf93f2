"""What a board says to do next can be done as it is printed, and then closes its row."""

import json
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from recsys.artifacts.registry import open_registry
from recsys.cli.main import run
from recsys.control.plane import ControlPlane
from recsys.pilot.evidence_files import CapacityEvidence, EvidenceFiles, ValidationEvidence
from recsys.pilot.facts import Facts, Probe, gather_facts
from recsys.pilot.phases import phase_groups
from recsys.pilot.readiness import readiness_groups
from recsys.pilot.requirements import Row, make_board
from recsys.pilot.ship_checklist import ship_groups

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
GROUPS = (*phase_groups(), *readiness_groups(), *ship_groups())
PLACED = ("tenant", "pipeline", "rules", "backup", "key", "doctor", "logs")
"""Commands that look into a data folder."""


def facts_of(data_dir: Path, tenant: str = "acme") -> Facts:
    plane = ControlPlane.open(data_dir / "control")
    try:
        return gather_facts(
            plane,
            open_registry(data_dir / "registry"),
            data_dir=data_dir,
            evidence=[],
            tenant=tenant,
            surface="home",
            now=NOW,
        )
    finally:
        plane.close()


def rows_of(facts: Facts) -> list[Row]:
    return [row for group in make_board("all", GROUPS, facts).groups for row in group.rows]


def row_of(facts: Facts, name: str) -> Row:
    return next(row for row in rows_of(facts) if row.id == name)


@pytest.mark.parametrize("tenant", ["acme", "o'hara; id"])
def test_next_commands_name_the_folders_and_the_tenant_of_the_board(tmp_path: Path, tenant: str) -> None:
    folder = tmp_path / "my data"
    commands = [row.next for row in rows_of(facts_of(folder, tenant)) if "recsys " in row.next]
    assert len(commands) > 15
    for command in commands:
        words = shlex.split(command.replace(",", " "))
        assert not any(word.startswith("evidence") for word in words), command
        verb = words[words.index("recsys") + 1]
        assert verb not in PLACED or str(folder) in words, command
        assert "--tenant" not in words or words[words.index("--tenant") + 1] == tenant, command
        assert "eval experiment" not in command or "--tenant" in words, command
        assert "decide PLAN" not in command


def test_default_data_folder_is_not_repeated() -> None:
    commands = [row.next for row in rows_of(Facts(now=NOW, tenant="acme", surface="home"))]
    assert not [command for command in commands if "--data-dir" in command]
    assert [command for command in commands if "data/evidence/validation.json" in command]


def exposure(tenant: str, request: str) -> str:
    record = {
        "request_id": request,
        "user_id": "a" * 64,
        "ts": "2026-02-28T12:00:00Z",
        "items": [{"item_id": "a", "rank": 1}],
        "context": {"tenant_id": tenant, "surface": "home"},
    }
    return json.dumps(record) + "\n"


def test_printed_validation_and_backup_close_their_rows(tmp_path: Path) -> None:
    folder = tmp_path / "d"
    before = facts_of(folder)
    for log in ("exposures", "outcomes/tenant=acme"):
        (folder / "logs" / log).mkdir(parents=True)
    (folder / "logs" / "exposures" / "1.jsonl").write_text(exposure("acme", "r1"))
    outcome = {
        "request_id": "r1",
        "user_id": "a" * 64,
        "item_id": "a",
        "event_type": "click",
        "ts": "2026-02-28T12:01:00Z",
    }
    (folder / "logs" / "outcomes" / "tenant=acme" / "1.jsonl").write_text(json.dumps(outcome) + "\n")
    program = shlex.join([sys.executable, "-c", "from recsys.cli.main import main; main()"])
    for name in ("joins", "backup"):
        row = row_of(before, name)
        assert row.state == "open"
        line = f'recsys() {{ {program} "$@"; }}; {row.next}'
        done = subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True, check=False)
        assert row_of(facts_of(folder), name).state == "met", (row_of(facts_of(folder), name), done.stderr)


def test_exposures_of_another_tenant_are_not_taken_for_ones_own(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "exposures"
    log.mkdir(parents=True)
    mine = exposure("acme", "r2")
    (log / "1.jsonl").write_text(exposure("other", "r1") + mine + '{"torn')
    (log / "2.jsonl").write_text(exposure("other", "r3"))
    assert facts_of(tmp_path).exposures.bytes == len(mine)
    assert facts_of(tmp_path).exposures.files == 1
    assert row_of(facts_of(tmp_path, "third"), "exposures").state == "open"


def test_unknown_tenant_is_refused_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ControlPlane.open(tmp_path / "control").close()
    assert run(["pilot", "status", "--tenant", "nope", "--data-dir", str(tmp_path)]) == 1
    assert "'nope' does not exist" in capsys.readouterr().err


def test_service_that_does_not_answer_is_unknown_and_sent_to_the_doctor() -> None:
    facts = Facts(now=NOW, tenant="acme", surface="home", probe=Probe(0, 0, "http://127.0.0.1:9"))
    row = row_of(facts, "auth")
    assert (row.state, row.evidence) == ("unknown", "the service did not answer")
    assert row.next == "recsys doctor --url http://127.0.0.1:9"


def test_capacity_of_a_dead_service_is_an_error_and_no_evidence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "evidence" / "capacity.json"
    words = ["pilot", "capacity", "--url", "http://127.0.0.1:9", "--seconds", "0.2", "--out", str(out)]
    assert run(words) == 1
    said = capsys.readouterr().err
    assert "no request was answered (last: " in said
    assert "refused" in said
    assert not out.exists()


def test_capacity_with_failures_says_how_many() -> None:
    files = EvidenceFiles(capacities=[CapacityEvidence(Path("c.json"), NOW, 100.0, 3.0, 7)])
    row = row_of(replace(Facts(now=NOW, tenant="acme", surface="home"), files=files), "capacity")
    assert row.state == "open"
    assert "7 failed" in row.evidence


def test_a_rollback_is_rehearsed_on_rules_that_there_are() -> None:
    facts = Facts(now=NOW, tenant="acme", surface="home")
    back = "recsys rules rollback --tenant acme, and forward"
    assert row_of(facts, "rollback").next == f"recsys rules put FILE --tenant acme, then {back}"
    put = replace(facts, rules=replace(facts.rules, revisions=1))
    assert row_of(put, "rollback").next == back


def test_logs_that_hardly_join_are_mended_before_they_are_validated_again() -> None:
    poor = ValidationEvidence(path=Path("one.json"), at=NOW, verdict="hold", join_rate=0.5, lines={})
    facts = Facts(now=NOW, tenant="acme", surface="home", files=EvidenceFiles(validations=[poor]))
    assert "docs/runbooks/broken-joins.md" in row_of(facts, "joins").next
