"""The A/A check and the interleaving analysis on simulated logs, by their commands."""

import json
from pathlib import Path

import pytest

from recsys.cli.main import run
from recsys.contracts.errors import EvaluationError
from recsys.evaluation.interleaving import prefer
from recsys.evaluation.joins import join_logs
from recsys.evaluation.run_interleaving import run_interleaving
from recsys.evaluation.simulate import Simulated, simulate


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Simulated:
    return simulate(tmp_path_factory.mktemp("logs"), users=1200, lift=0.0, seed=4)


def options(logs: Simulated) -> list[str]:
    return ["--exposures", str(logs.exposures), "--outcomes", str(logs.outcomes)]


def test_sound_metrics_pass_the_aa_check(
    logs: Simulated, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = ["--metric", "ctr", "--splits", "200", "--out", str(tmp_path), "--json"]
    assert run(["eval", "aa", *options(logs), *chosen]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["mode"] == "aa-check"
    assert report["summary"]["executive"]["decision"] == "pass"
    check = report["aa_check"]["metrics"][0]["check"]
    assert sum(check["p_value_counts"]) == check["splits"] == 200
    assert "errs as often as it says" in (tmp_path / "report.md").read_text()


def test_a_metric_that_one_user_dominates_fails_and_exits_with_2(
    logs: Simulated, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outcomes = [json.loads(line) for line in logs.outcomes.read_text().splitlines()]
    sold = next(outcome for outcome in outcomes if outcome["event_type"] == "conversion")
    sold["value"] = 1e9
    path = tmp_path / "o.jsonl"
    path.write_text("".join(json.dumps(outcome) + "\n" for outcome in outcomes))
    arguments = ["--exposures", str(logs.exposures), "--outcomes", str(path), "--metric", "revenue_per_user"]
    assert run(["eval", "aa", *arguments, "--splits", "200"]) == 2
    assert "Fail: The analysis finds differences" in capsys.readouterr().out


def test_an_arm_that_is_not_there_is_named(logs: Simulated, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["eval", "aa", *options(logs), "--variant", "gone"]) == 1
    assert "in arm 'gone'" in capsys.readouterr().err
    assert run(["eval", "aa", *options(logs), "--metric", "gmv"]) == 1
    assert "'gmv'" in capsys.readouterr().err


def test_the_better_team_is_preferred_and_the_counts_are_those_of_the_clicks(
    logs: Simulated, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["eval", "interleaving", *options(logs), "--out", str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["interleaving"]
    assert found["preference"]["low"] > 0.5
    items = join_logs([str(logs.exposures)], [str(logs.outcomes)]).items.to_pylist()
    served = [json.loads(line) for line in logs.exposures.read_text().splitlines()]
    team = {(one["request_id"], item["item_id"]): item["team"] for one in served for item in one["items"]}
    slow = prefer(
        [
            (row["user_id"], team[row["request_id"], row["item_id"]])
            for row in items
            for _ in range(row["clicks"])
        ]
    )
    assert (slow.prefers_a, slow.prefers_b, slow.ties) == tuple(
        found["preference"][name] for name in ("prefers_a", "prefers_b", "ties")
    )
    assert slow.p_value == pytest.approx(found["preference"]["p_value"])
    assert "Prefers b" in (tmp_path / "report.html").read_text()


def test_lists_without_teams_and_with_unknown_ones_are_errors(logs: Simulated, tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    for old, new, message in (('"team":', '"was":', "no item says"), ('"team":"a"', '"team":"x"', "'x'")):
        path.write_text(logs.exposures.read_text().replace(old, new))
        with pytest.raises(EvaluationError, match=message):
            run_interleaving({"exposures": [str(path)], "outcomes": [str(logs.outcomes)]})
