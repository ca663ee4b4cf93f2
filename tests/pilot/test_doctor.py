"""The doctor names what is wrong, with its runbook, on a running service and without one."""

import json
from pathlib import Path

import msgspec
import pytest

from recsys.control.plane import ControlPlane
from recsys.control.release_moves import entering
from recsys.pilot import doctor
from recsys.pilot.asking import Answer
from recsys.pilot.doctor import Sight, examine_agreement, examine_data, examine_service
from recsys.pilot.drills.scratch import SURFACE, TENANT, Scratch
from recsys.pilot.drills.stage import Stage, list_of
from recsys.pilot.metrics_text import MetricsText

ROOT = Path(__file__).parents[2]


def troubles(sights: list[Sight]) -> dict[str, Sight]:
    return {sight.what: sight for sight in sights if not sight.is_well}


def examine(scratch: Scratch) -> list[Sight]:
    plane = ControlPlane.open(scratch.data_dir / "control")
    try:
        return examine_data(plane, scratch.registry, scratch.data_dir)
    finally:
        plane.close()


def test_dead_service_is_one_trouble_with_its_runbook() -> None:
    (sight,) = examine_service("http://127.0.0.1:9")
    assert not sight.is_well
    assert (ROOT / "docs" / "runbooks" / f"{sight.runbook}.md").is_file()


def test_data_folder_that_is_well_has_no_trouble(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path)
    scratch.publish()
    assert troubles(examine(scratch)) == {}


def test_nothing_published_is_a_trouble(tmp_path: Path) -> None:
    assert set(troubles(examine(Scratch(tmp_path)))) == {"registry"}


def test_release_with_a_missing_artifact_is_a_trouble_that_names_the_rollback(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path)
    scratch.publish()
    next((scratch.registry_dir / "artifacts").rglob("*.rsa")).unlink()
    found = troubles(examine(scratch))
    assert set(found) == {f"pointer {TENANT}/{SURFACE}"}
    assert "manifest rollback" in found[f"pointer {TENANT}/{SURFACE}"].next


def test_secret_that_others_may_read_is_a_trouble(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path)
    scratch.publish()
    (scratch.data_dir / "control" / "api-keys.secret").chmod(0o644)
    assert set(troubles(examine(scratch))) == {"secrets"}


@pytest.mark.slow
def test_running_service_that_is_well_has_no_trouble_and_a_lost_registry_is_one(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.scratch.publish()
    try:
        service = stage.serve()
        list_of(service)
        assert troubles(examine_service(service.url)) == {}
        stage.scratch.registry_dir.rename(tmp_path / "away")
        stage.detect("the registry is told", lambda: "registry" in troubles(examine_service(service.url)))
    finally:
        stage.close()


def test_metrics_are_summed_over_the_labels_that_are_not_named() -> None:
    text = MetricsText('a_total{x="1",y="1"} 2\na_total{x="1",y="2"} 3\na_total{x="2",y="1"} 5\n')
    assert text.total("a_total", x="1") == 5
    assert text.total("a_total") == 10
    assert text.total("b_total") == 0


def scrape(lists: int, empty: int) -> str:
    return (
        "# TYPE recsys_lists_total counter\n"
        f'recsys_lists_total{{kind="full"}} {lists - empty}\nrecsys_lists_total{{kind="empty"}} {empty}\n'
    )


@pytest.mark.parametrize(
    ("then", "is_well", "told"),
    [
        ((1300, 300), True, "0 of 300 just now"),
        ((1300, 400), False, "100 of 300 just now"),
        ((1000, 300), False, "0 of 0 just now"),
    ],
)
def test_empty_lists_that_are_over_are_told_from_those_that_go_on(
    monkeypatch: pytest.MonkeyPatch, then: tuple[int, int], is_well: bool, told: str
) -> None:
    bodies = [scrape(1000, 300), scrape(*then)]

    def answer(url: str) -> Answer:
        body = bodies.pop(0) if url.endswith("/metrics") else "{}"
        return Answer(200, {}, body.encode())

    monkeypatch.setattr(doctor, "ask", answer)
    monkeypatch.setattr(doctor, "SECOND_LOOK_S", 0.0)
    (sight,) = [one for one in examine_service("http://x") if one.what == "empty lists"]
    assert sight.is_well == is_well
    assert told in sight.evidence
    assert "since the start of the service" in sight.evidence


def test_a_release_without_signals_is_not_taken_for_a_damaged_one(monkeypatch: pytest.MonkeyPatch) -> None:
    part = {"name": "snapshot shop/home", "ok": False, "detail": "no signal: only the newest of the catalog"}

    def answer(url: str) -> Answer:
        ready = {"status": "degraded", "components": [part]}
        return Answer(200, {}, scrape(1, 0).encode() if "metrics" in url else json.dumps(ready).encode())

    monkeypatch.setattr(doctor, "ask", answer)
    (sight,) = [one for one in examine_service("http://x") if one.what == "snapshot shop/home"]
    assert (sight.is_well, sight.runbook) == (False, "not-ready")
    assert "recsys signals load" in sight.next


def test_service_on_another_data_folder_is_a_trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = Scratch(tmp_path)
    version = scratch.publish().version
    name = f"{TENANT}/{SURFACE}"

    def look(served: dict[str, str]) -> list[Sight]:
        snapshots = {one: {"manifest_version": version} for one, version in served.items()}
        body = msgspec.json.encode({"version": "1", "format_version": 1, "snapshots": snapshots})
        monkeypatch.setattr(doctor, "ask", lambda _: Answer(200, {}, body))
        monkeypatch.setattr(doctor, "SECOND_LOOK_S", 0.0)
        plane = ControlPlane.open(scratch.data_dir / "control")
        try:
            return examine_agreement("http://x", plane, scratch.registry)
        finally:
            plane.close()

    assert troubles(look({name: version})) == {}
    for served in ({name: "f" * 64}, {"other/home": "f" * 64}, {}):
        assert "the pointer says" in troubles(look(served))["agreement"].evidence


def test_changes_are_told_newest_first_over_all_tenants(tmp_path: Path) -> None:
    plane = ControlPlane.open(tmp_path / "control")
    for tenant in ("b", "a"):
        plane.create_tenant(tenant, actor="test")
    plane.set_tenant_state("b", "suspended", actor="test")
    told = doctor._changes(plane).evidence.split("; ")
    plane.close()
    assert [one.split(" at ")[0] for one in told] == [
        "tenant.state of b",
        "tenant.create of a",
        "tenant.create of b",
    ]


def test_move_without_its_entry_is_entered_and_told_as_a_change(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path)
    scratch.publish()
    version = scratch.registry.find(TENANT, SURFACE).version
    plane = ControlPlane.open(scratch.data_dir / "control")
    moving = entering(plane, TENANT, SURFACE, actor="ann", action="release.publish")
    moving(None, version).__enter__()
    plane.close()  # as if killed here: the block is never left
    assert "release.publish" in {sight.what: sight for sight in examine(scratch)}["changes"].evidence
