"""The commands of experiments, run as a user does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from recsys.cli.main import run
from recsys.contracts.experiments import DEFINED_METRICS
from recsys.evaluation.plan import METRICS

DRAFT = {
    "id": "home-mode",
    "surface": "home",
    "arms": [{"name": "control", "weight": 3}, {"name": "popular", "mode": "popularity"}],
    "primary_metric": {"name": "ctr", "minimum_effect": 0.005},
    "guardrails": [{"metric": "empty_list_rate", "margin": 0.01}],
    "rollback": {"to": "current"},
}


def test_an_experiment_goes_from_draft_to_rollback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--tenant", "demo", "--data-dir", str(tmp_path)]

    def call(*arguments: str, code: int = 0) -> str:
        assert run(["experiment", *arguments, *data]) == code
        captured = capsys.readouterr()
        return (captured.out or captured.err).strip()

    run(["tenant", "create", "demo", *data[2:]])
    surface = tmp_path / "config.json"
    surface.write_text('{"surfaces": {"home": {}}}')
    run(["config", "put", str(surface), *data])
    capsys.readouterr()
    file = tmp_path / "experiment.json"
    file.write_text(json.dumps({name: value for name, value in DRAFT.items() if name != "rollback"}))
    call("create", str(file))
    assert call("start", "home-mode", code=1).startswith("error: home-mode.rollback: needed to start")
    file.write_text(json.dumps(DRAFT | {"id": "second"}))
    version = call("create", str(file), "--comment", "try popularity")
    assert len(version) == 64
    call("start", "second")
    call("ramp", "second", "0.5")
    call("kill", "second")
    assert "(killed)" in call("status")
    call("resume", "second")
    call("force", "second", "--user", "tester@shop", "--arm", "popular")
    shown = json.loads(call("status", "second"))
    assert (shown["state"], shown["traffic_share"], len(shown["forced"])) == ("running", 0.5, 1)
    assert "tester@shop" not in json.dumps(shown)
    assert call("rollback", "second") == "rolled back to current"
    states = [
        one["state"]
        for one in json.loads(call("status", "--json"))["document"]["experiments"]
        if "state" in one
    ]
    assert states == ["rolled_back"]


def test_a_draft_is_replaced_when_that_is_said_and_a_started_experiment_never(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--tenant", "demo", "--data-dir", str(tmp_path)]
    run(["tenant", "create", "demo", *where[2:]])
    file = tmp_path / "experiment.json"
    file.write_text(json.dumps({name: value for name, value in DRAFT.items() if name != "rollback"}))
    assert run(["experiment", "create", str(file), *where]) == 0
    file.write_text(json.dumps(DRAFT))
    assert run(["experiment", "create", str(file), *where]) == 1
    assert "say that it is to be replaced (--replace)" in capsys.readouterr().err
    assert run(["experiment", "create", str(file), "--replace", *where]) == 0
    surface = tmp_path / "config.json"
    surface.write_text('{"surfaces": {"home": {}}}')
    assert run(["config", "put", str(surface), *where]) == 0
    assert run(["experiment", "start", "home-mode", *where]) == 0
    assert run(["experiment", "create", str(file), "--replace", *where]) == 1
    assert (
        capsys.readouterr().err.strip().endswith("is running: only a draft can be replaced, take another id")
    )


def test_a_metric_that_no_evaluation_defines_is_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--tenant", "demo", "--data-dir", str(tmp_path)]
    run(["tenant", "create", "demo", *where[2:]])
    (tmp_path / "config.json").write_text('{"surfaces": {"home": {}}}')
    run(["config", "put", str(tmp_path / "config.json"), *where])
    file = tmp_path / "experiment.json"
    file.write_text(json.dumps(DRAFT | {"primary_metric": {"name": "crt"}}))
    assert run(["experiment", "create", str(file), *where]) == 0
    assert run(["experiment", "start", "home-mode", *where]) == 0
    assert "'crt' is none of ctr, clicks_per_item" in capsys.readouterr().err
    assert tuple(METRICS) == DEFINED_METRICS


def test_a_wrong_field_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = ["--data-dir", str(tmp_path)]
    run(["tenant", "create", "demo", *data])
    file = tmp_path / "experiment.json"
    file.write_text(json.dumps(DRAFT | {"arms": [{"name": "a", "weight": -1}]}))
    assert run(["experiment", "create", str(file), "--tenant", "demo", *data]) == 1
    assert "experiments[0].arms[0].weight" in capsys.readouterr().err


def test_a_guard_of_a_timer_has_nothing_to_do_before_the_experiment_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--tenant", "demo", "--data-dir", str(tmp_path)]
    run(["tenant", "create", "demo", *where[2:]])
    file = tmp_path / "experiment.json"
    file.write_text(json.dumps(DRAFT))
    run(["experiment", "create", str(file), *where])
    capsys.readouterr()
    assert run(["experiment", "guard", "home-mode", *where]) == 1
    assert capsys.readouterr().err == "error: experiment 'home-mode' is not running\n"
    assert run(["experiment", "guard", "home-mode", "--if-running", *where]) == 0
    assert capsys.readouterr().out == "not running\n"
    assert run(["experiment", "guard", "home-mode", "--if-running", "--json", *where]) == 0
    assert json.loads(capsys.readouterr().out) == {"rolled_back": False, "requests": {}}
    assert run(["experiment", "guard", "other", "--if-running", *where]) == 1
