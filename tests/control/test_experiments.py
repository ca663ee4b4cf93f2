"""Experiments in the store: what may start, and changes that do not undo each other."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from recsys.artifacts.registry import open_registry
from recsys.contracts.documents import InvalidDocument
from recsys.contracts.experiments import read_experiments
from recsys.control import experiments
from recsys.control.plane import ControlPlane
from recsys.control.store import ControlError, NotFoundError

NOW = datetime(2026, 1, 31, tzinfo=UTC)


def draft(name: str = "e", **fields: object) -> dict:
    return {
        "id": name,
        "surface": "home",
        "arms": [{"name": "a"}, {"name": "b", "mode": "popularity"}],
        "primary_metric": {"name": "ctr"},
        "guardrails": [{"metric": "empty_list_rate", "margin": 0.01}],
        "rollback": {"to": "current"},
    } | fields


def create(plane: ControlPlane, value: dict) -> None:
    experiments.create_experiment(plane, "demo", value, author="test")


def start(plane: ControlPlane, name: str = "e") -> None:
    experiments.start_experiment(plane, "demo", name, now=NOW, author="test")


def start_with(plane: ControlPlane, folder: Path, name: str = "e") -> None:
    registry = open_registry(folder / "registry")
    experiments.start_experiment(plane, "demo", name, registry=registry, now=NOW, author="test")


def roll_back(plane: ControlPlane, folder: Path) -> None:
    registry = open_registry(folder / "registry")
    experiments.roll_back_experiment(plane, "demo", "e", registry=registry, now=NOW, author="test")


def states(plane: ControlPlane) -> dict[str, str]:
    document, _ = experiments.current_experiments(plane, "demo")
    return {one.id: one.state for one in document.experiments}


def test_an_experiment_is_created_started_and_stopped(plane: ControlPlane) -> None:
    create(plane, draft())
    assert states(plane) == {"e": "draft"}
    start(plane)
    assert states(plane) == {"e": "running"}
    experiments.stop_experiment(plane, "demo", "e", now=NOW, author="test", comment="enough")
    assert states(plane) == {"e": "stopped"}
    assert [r.comment for r in plane.history("demo", "experiments")] == [
        "stop e: enough",
        "start e",
        "create e",
    ]
    with pytest.raises(ControlError, match="only a draft"):
        start(plane)


@pytest.mark.parametrize(
    ("missing", "empty"), [("rollback", None), ("primary_metric", None), ("guardrails", [])]
)
def test_start_is_refused_without_what_a_stop_or_a_decision_needs(
    plane: ControlPlane, missing: str, empty: object
) -> None:
    create(plane, draft(**{missing: empty}))
    with pytest.raises(InvalidDocument, match=rf"e\.{missing}: needed to start"):
        start(plane)
    assert states(plane) == {"e": "draft"}


@pytest.mark.parametrize("kind", ["config", "rules"])
def test_start_is_refused_for_a_version_that_there_is_not(plane: ControlPlane, kind: str) -> None:
    unknown = {f"{kind}_version": "0" * 64}
    create(plane, draft(arms=[{"name": "a"}, {"name": "b", **unknown}]))
    with pytest.raises(InvalidDocument, match=rf"e\.arms\[1\]\.{kind}_version"):
        start(plane)
    create(plane, draft("f", rollback={"to": "versions", **unknown}))
    with pytest.raises(InvalidDocument, match=rf"f\.rollback\.{kind}_version"):
        start(plane, "f")
    assert states(plane) == {"e": "draft", "f": "draft"}


@pytest.mark.parametrize("place", ["arms[1]", "rollback"])
def test_start_is_refused_for_a_release_that_there_is_not(
    plane: ControlPlane, tmp_path: Path, place: str
) -> None:
    plane.put("demo", "config", b'{"surfaces": {"home": {}}}', author="test")
    unknown = {"manifest_version": "0" * 64}
    fields: dict[str, object] = (
        {"rollback": {"to": "versions", **unknown}}
        if place == "rollback"
        else {"arms": [{"name": "a"}, {"name": "b", **unknown}]}
    )
    create(plane, draft(**fields))
    with pytest.raises(InvalidDocument) as caught:
        start_with(plane, tmp_path)
    assert caught.value.pointer == f"e.{place}.manifest_version"
    assert states(plane) == {"e": "draft"}


def test_start_is_refused_for_a_surface_without_release_and_config(
    plane: ControlPlane, tmp_path: Path
) -> None:
    create(plane, draft(surface="hmoe"))
    with pytest.raises(InvalidDocument, match=r"e\.surface: 'hmoe' has no release .* there is none"):
        start_with(plane, tmp_path)
    plane.put("demo", "config", b'{"surfaces": {"home": {}, "cart": {}}}', author="test")
    with pytest.raises(InvalidDocument, match="there is cart, home"):
        start_with(plane, tmp_path)
    create(plane, draft("f", surface="cart"))
    start_with(plane, tmp_path, "f")
    assert states(plane) == {"e": "draft", "f": "running"}


def test_a_rollback_that_fails_says_what_was_done_and_moves_no_pointer(
    plane: ControlPlane, tmp_path: Path
) -> None:
    before = plane.put("demo", "config", b'{"defaults": {"brand_cap": 1}}', author="test").version
    now = plane.put("demo", "config", b'{"defaults": {"brand_cap": 2}}', author="test").version
    path = {"to": "versions", "config_version": before, "manifest_version": "0" * 64}
    create(plane, draft(rollback=path))
    start(plane)
    with pytest.raises(
        ControlError, match=r"arms of experiment 'e' are stopped, nothing else .*manifest_ver"
    ):
        roll_back(plane, tmp_path)
    assert plane.document("demo", "config").revision.version == now
    assert states(plane) == {"e": "rolled_back"}


@pytest.mark.parametrize("state", ["stopped", "rolled_back"])
def test_what_has_ended_is_not_changed(plane: ControlPlane, tmp_path: Path, state: str) -> None:
    create(plane, draft())
    start(plane)
    if state == "stopped":
        experiments.stop_experiment(plane, "demo", "e", now=NOW, author="test")
    else:
        roll_back(plane, tmp_path)
    generation = plane.generation()
    changes: list[Callable[[], object]] = [
        lambda: experiments.set_traffic_share(plane, "demo", "e", 0.5, author="test"),
        lambda: experiments.set_kill_switch(plane, "demo", "e", on=True, author="test"),
        lambda: experiments.set_kill_switch(plane, "demo", "e", on=False, author="test"),
        lambda: experiments.force_arm(plane, "demo", "e", "0" * 64, "b", author="test"),
    ]
    for change in changes:
        with pytest.raises(ControlError, match=f"is {state}; only drafts and running ones"):
            change()
    assert plane.generation() == generation


def test_two_experiments_of_a_surface_run_at_once_only_on_different_users(plane: ControlPlane) -> None:
    create(plane, draft("e1", layer={"name": "l", "high": 0.5}))
    create(plane, draft("e2", layer={"name": "l", "low": 0.4}))
    create(plane, draft("e3", layer={"name": "l", "low": 0.5}))
    create(plane, draft("e4"))
    create(plane, draft("e5", surface="cart"))
    start(plane, "e1")
    for name in ("e2", "e4"):
        with pytest.raises(InvalidDocument, match=rf"{name}\.layer: users could be in experiment 'e1' too"):
            start(plane, name)
    start(plane, "e3")
    start(plane, "e5")


def test_the_rollback_path_puts_earlier_versions_back(plane: ControlPlane, tmp_path: Path) -> None:
    before = plane.put("demo", "config", b'{"defaults": {"brand_cap": 1}}', author="test").version
    plane.put("demo", "config", b'{"defaults": {"brand_cap": 2}}', author="test")
    create(plane, draft(rollback={"to": "versions", "config_version": before}))
    with pytest.raises(ControlError, match="never started"):
        roll_back(plane, tmp_path)
    start(plane)
    roll_back(plane, tmp_path)
    assert states(plane) == {"e": "rolled_back"}
    assert plane.document("demo", "config").revision.version == before


def test_changes_at_once_do_not_undo_each_other(plane: ControlPlane) -> None:
    names = [f"e{number}" for number in range(6)]
    threads = [threading.Thread(target=create, args=(plane, draft(name))) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(states(plane)) == names


def test_kill_switch_ramp_and_forced_arms(plane: ControlPlane) -> None:
    create(plane, draft(traffic_share=0.1))
    start(plane)
    experiments.set_kill_switch(plane, "demo", "e", on=True, author="test")
    experiments.set_traffic_share(plane, "demo", "e", 0.5, author="test")
    experiments.force_arm(plane, "demo", "e", "0" * 64, "b", author="test")
    document, _ = experiments.current_experiments(plane, "demo")
    (one,) = document.experiments
    assert (one.kill_switch, one.is_serving, one.traffic_share, one.forced) == (
        True,
        False,
        0.5,
        {"0" * 64: "b"},
    )
    experiments.set_kill_switch(plane, "demo", None, on=True, author="test")
    assert experiments.current_experiments(plane, "demo")[0].kill_switch
    with pytest.raises(InvalidDocument, match=r"e\.traffic_share"):
        experiments.set_traffic_share(plane, "demo", "e", 1.5, author="test")
    with pytest.raises(InvalidDocument, match="no arm is called 'z'"):
        experiments.force_arm(plane, "demo", "e", "0" * 64, "z", author="test")
    with pytest.raises(NotFoundError):
        start(plane, "none")


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"arms": [{"name": "a"}, {"name": "a"}]}, "experiments[0].arms[1].name"),
        ({"arms": [{"name": "holdout"}]}, "experiments[0].arms[0].name"),
        ({"arms": [{"name": "a", "weight": 0}]}, "experiments[0].arms[0].weight"),
        ({"arms": [{"name": "a", "weights": {}}]}, "experiments[0].arms[0].weights"),
        ({"arms": [{"name": "a", "mode": "none"}]}, "experiments[0].arms[0].mode"),
        ({"arms": [{"name": "a", "config_version": "1"}]}, "experiments[0].arms[0].config_version"),
        ({"kind": "interleaving", "arms": [{"name": "a"}]}, "experiments[0].arms"),
        ({"traffic_share": 1.1}, "experiments[0].traffic_share"),
        ({"layer": {"name": "l", "low": 0.5, "high": 0.5}}, "experiments[0].layer.high"),
        ({"start": "2026-01-02T00:00:00Z", "end": "2026-01-01T00:00:00Z"}, "experiments[0].end"),
        ({"forced": {"somebody": "a"}}, "experiments[0].forced"),
        ({"rollback": {"to": "versions"}}, "experiments[0].rollback.to"),
        ({"guardrails": [{"metric": "ctr", "margin": 0}]}, "experiments[0].guardrails[0].metric"),
        ({"surprise": 1}, "experiments[0]"),
    ],
)
def test_an_error_points_at_the_field(fields: dict, pointer: str) -> None:
    with pytest.raises(InvalidDocument) as caught:
        read_experiments({"experiments": [draft(**fields)]})
    assert caught.value.pointer == pointer
