"""The doctor names what is wrong, with its runbook, on a running service and without one."""

from pathlib import Path

import pytest

from recsys.control.plane import ControlPlane
from recsys.pilot.doctor import Sight, examine_data, examine_service
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
