"""Boards say what is missing, and are done when the evidence is there and not before."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from recsys.artifacts.registry import open_registry
from recsys.contracts.config import SurfaceSettings, TenantConfig
from recsys.control.keys import ApiKey
from recsys.control.plane import ControlPlane
from recsys.pilot.alerting import ALERTS, Alerting
from recsys.pilot.board_page import render_board
from recsys.pilot.drills.catalog import DRILLS
from recsys.pilot.evidence_files import (
    BackupEvidence,
    CapacityEvidence,
    DecisionEvidence,
    DrillEvidence,
    EvidenceFiles,
    ReportEvidence,
    ValidationEvidence,
    read_evidence,
)
from recsys.pilot.facts import Documents, Facts, Logs, Probe, Release, gather_facts
from recsys.pilot.phases import fast_path_groups, phase_groups
from recsys.pilot.readiness import readiness_groups
from recsys.pilot.requirements import Board, counted, make_board
from recsys.pilot.ship_checklist import ship_groups

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
FILE = Path("evidence/one.json")
ALERTING = Alerting(
    at=NOW - HOUR,
    prometheus="http://p:9090",
    alerts=list(ALERTS),
    alertmanagers=["a:9093"],
    receivers=["on-call"],
)
BOARDS = {
    "status": phase_groups(),
    "fast": fast_path_groups(),
    "readiness": readiness_groups(),
    "ship": ship_groups(),
}


def key(*roles: str, **changes: object) -> ApiKey:
    made = ApiKey("k1", "shop", roles, "digest", NOW, "ann", expires_at=NOW + 90 * 24 * HOUR)
    return replace(made, **changes)


def complete() -> Facts:
    """Return the facts of a pilot that has everything."""
    older = Release("a" * 64, ("popularity",), NOW - 20 * HOUR)
    current = Release("b" * 64, ("cooc", "popularity"), NOW - 2 * HOUR)
    return Facts(
        now=NOW,
        tenant="shop",
        surface="home",
        tenant_state="active",
        keys=(key("service"), key("admin")),
        config=TenantConfig(surfaces={"home": SurfaceSettings(schedule_hours=24.0)}),
        configs=Documents(2, "c"),
        rules=Documents(1, "r"),
        n_rules=3,
        actions={"rules.rollback": NOW - 24 * HOUR},
        releases=(current, older),
        current=current,
        exposures=Logs(1, 1000),
        outcomes=Logs(1, 100),
        probe=Probe(ready=200, unauthenticated=401),
        alerting=ALERTING,
        files=EvidenceFiles(
            reports=[
                ReportEvidence(FILE, "offline", NOW, "pass"),
                ReportEvidence(FILE, "experiment", NOW, "pass"),
            ],
            decisions=[DecisionEvidence(FILE, "ship", NOW)],
            validations=[ValidationEvidence(FILE, "sane", 0.99, {"exposures": 10}, NOW)],
            drills=[DrillEvidence(FILE, drill.name, NOW, True, 1.0, 2.0) for drill in DRILLS],
            backups=[BackupEvidence(FILE, NOW - HOUR)],
            capacities=[CapacityEvidence(FILE, NOW, 4000.0, 3.0)],
        ),
    )


def open_rows(board: Board) -> set[str]:
    return {row.id for group in board.groups for row in group.rows if row.state != "met" and row.is_must}


@pytest.mark.parametrize("name", BOARDS)
def test_board_is_done_with_all_the_evidence(name: str) -> None:
    board = make_board(name, BOARDS[name], complete())
    assert open_rows(board) == set()
    assert board.is_done
    assert board.exit_code == 0


@pytest.mark.parametrize("name", BOARDS)
def test_board_of_nothing_is_open_and_says_what_comes_next(name: str) -> None:
    board = make_board(name, BOARDS[name], Facts(now=NOW, tenant="shop", surface="home"))
    assert board.exit_code == 1
    for group in board.groups:
        assert not group.is_done or all(row.state == "met" for row in group.rows if row.is_must)
        assert all(row.next for row in group.rows if row.state != "met")


@pytest.mark.parametrize(
    ("change", "board", "row"),
    [
        ({"tenant_state": "suspended"}, "status", "tenant"),
        ({"current": Release("b" * 64, ("cooc",), NOW)}, "status", "baseline"),
        ({"exposures": Logs(1, 0)}, "status", "exposures"),
        ({"n_rules": 0}, "status", "rules"),
        ({"actions": {"rules.put": NOW}}, "status", "rollback-drill"),
        ({"actions": {"rules.rollback": NOW - 31 * 24 * HOUR}}, "readiness", "rollback"),
        ({"keys": (key("service", "admin"),)}, "readiness", "roles"),
        ({"keys": (key("service", revoked_at=NOW),)}, "readiness", "keys"),
        ({"probe": Probe(200, 200)}, "readiness", "auth"),
        ({"probe": Probe(0, 401)}, "readiness", "ready"),
        ({"probe": Probe(0, 0)}, "readiness", "auth"),
        ({"probe": None}, "readiness", "auth"),
        ({"alerting": None}, "readiness", "alerts"),
        ({"alerting": replace(ALERTING, alerts=list(ALERTS[1:]))}, "readiness", "alerts"),
        ({"alerting": replace(ALERTING, at=NOW - 31 * 24 * HOUR)}, "readiness", "alerts"),
        ({"alerting": replace(ALERTING, alertmanagers=[])}, "readiness", "receivers"),
        ({"alerting": replace(ALERTING, receivers=[])}, "readiness", "receivers"),
        ({"exposed_secrets": ("control/api-keys.secret",)}, "readiness", "secrets"),
        ({"current": Release("b" * 64, ("popularity",), NOW - 49 * HOUR)}, "readiness", "freshness"),
        ({"outcomes": Logs(1, 1, (NOW - 500 * 24 * HOUR).date())}, "readiness", "retention"),
        ({"releases": (complete().current,)}, "ship", "target"),
    ],
)
def test_what_is_missing_opens_its_row(change: dict, board: str, row: str) -> None:
    rows = open_rows(make_board(board, BOARDS[board], replace(complete(), **change)))
    assert row in rows


@pytest.mark.parametrize(
    ("change", "board", "row"),
    [
        ({"validations": [ValidationEvidence(FILE, "sane", 0.94, {}, NOW)]}, "status", "joins"),
        ({"validations": [ValidationEvidence(FILE, "hold", 0.99, {}, NOW)]}, "ship", "schemas"),
        ({"reports": [ReportEvidence(FILE, "offline", NOW, "fail")]}, "ship", "offline"),
        ({"backups": [BackupEvidence(FILE, NOW - 49 * HOUR)]}, "readiness", "backup"),
        ({"capacities": [CapacityEvidence(FILE, NOW, 10.0, 80.0)]}, "readiness", "capacity"),
        ({"capacities": [CapacityEvidence(FILE, NOW, 0.0, 0.0, 6081)]}, "readiness", "capacity"),
        ({"capacities": [CapacityEvidence(FILE, NOW, 0.0, 0.0)]}, "readiness", "capacity"),
        ({"capacities": [CapacityEvidence(FILE, NOW, 10.0, 3.0, 1)]}, "readiness", "capacity"),
        (
            {"drills": [DrillEvidence(FILE, drill.name, NOW, True, 1, 1) for drill in DRILLS[1:]]},
            "readiness",
            "drills",
        ),
        (
            {
                "drills": [
                    DrillEvidence(FILE, "overload", NOW - HOUR, True, 1, 1),
                    DrillEvidence(FILE, "overload", NOW, False, 1, 1),
                ]
            },
            "readiness",
            "drills",
        ),
    ],
)
def test_evidence_that_is_not_enough_opens_its_row(change: dict, board: str, row: str) -> None:
    facts = complete()
    facts = replace(facts, files=replace(facts.files, **change))
    assert row in open_rows(make_board(board, BOARDS[board], facts))


def test_evidence_is_known_by_what_it_says(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "any.json").write_text(
        json.dumps({"verdict": "sane", "lines": {"exposures": 3}, "join_rate": 0.97, "findings": []})
    )
    (tmp_path / "d.json").write_text(
        json.dumps({"decision": "hold", "reason": "r", "control_variant": "a", "candidate_variant": "b"})
    )
    (tmp_path / "other.json").write_text(json.dumps({"some": "thing"}))
    (tmp_path / "list.json").write_text("[1]")
    (tmp_path / "torn.json").write_text('{"verdict": ')
    found = read_evidence([tmp_path, tmp_path / "deep", tmp_path / "missing"])
    assert [one.join_rate for one in found.validations] == [0.97]
    assert [one.decision for one in found.decisions] == ["hold"]
    assert [path.name for path in found.damaged] == ["torn.json"]
    assert not found.reports


def test_facts_of_an_empty_folder_are_nothing_and_no_error(tmp_path: Path) -> None:
    plane = ControlPlane.open(tmp_path / "control")
    facts = gather_facts(
        plane,
        open_registry(tmp_path / "registry"),
        data_dir=tmp_path,
        evidence=[],
        tenant="shop",
        surface="home",
        now=NOW,
    )
    plane.close()
    assert facts.tenant_state is None
    assert facts.current is None
    assert facts.exposed_secrets == ()


def test_secret_that_others_may_read_is_seen(tmp_path: Path) -> None:
    plane = ControlPlane.open(tmp_path / "control")
    (tmp_path / "control" / "api-keys.secret").chmod(0o644)
    facts = gather_facts(
        plane,
        open_registry(tmp_path / "registry"),
        data_dir=tmp_path,
        evidence=[],
        tenant="shop",
        surface="home",
        now=NOW,
    )
    plane.close()
    assert [Path(path).name for path in facts.exposed_secrets] == ["api-keys.secret"]


def test_page_escapes_what_people_wrote() -> None:
    facts = replace(complete(), tenant_state="<script>alert(1)</script>")
    page = render_board(make_board("Pilot status", phase_groups(), facts))
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_what_is_one_is_told_in_the_singular() -> None:
    assert [counted(count, "file") for count in (0, 1, 1200)] == ["0 files", "1 file", "1,200 files"]
