"""From logs with propensities to the value of another policy, by the command and by its function."""

import json
from pathlib import Path

import numpy as np
import pytest

from recsys.cli.main import run
from recsys.contracts.errors import EvaluationError
from recsys.evaluation.convert_open_bandit import convert_open_bandit
from recsys.evaluation.ope.target_policy import policy_by_rank
from recsys.evaluation.run_ope import run_ope
from recsys.evaluation.simulate import Simulated, simulate


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Simulated:
    return simulate(tmp_path_factory.mktemp("logs"), users=700, lift=0.0, seed=3)


def given(logs: Simulated) -> dict:
    return {"exposures": [str(logs.exposures)], "outcomes": [str(logs.outcomes)]}


def changed(logs: Simulated, folder: Path, change) -> dict:
    lines = []
    for number, line in enumerate(logs.exposures.read_text().splitlines()):
        record = json.loads(line)
        change(number, record)
        lines.append(json.dumps(record))
    path = folder / "exposures.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return {"exposures": [str(path)], "outcomes": [str(logs.outcomes)]}


def test_every_estimator_of_lists_covers_the_truth_of_the_simulation(logs: Simulated) -> None:
    report, payload = run_ope(given(logs), features=["surface"])
    assert payload.unit == "list"
    assert payload.left_out == {}
    names = [estimate.estimator for estimate in payload.estimates]
    assert names == ["standard_ips", "independent_ips", "reward_interaction_ips", "cascade_dr"]
    for estimate in payload.estimates:
        half = estimate.high - estimate.value
        assert abs(estimate.value - logs.target_clicks_per_list) < 1.6 * half
    assert payload.observed.value == pytest.approx(logs.logging_clicks_per_list, rel=0.1)
    assert payload.diagnostics.advice == []
    widths = {estimate.estimator: estimate.standard_error for estimate in payload.estimates}
    assert widths["cascade_dr"] < widths["reward_interaction_ips"] < widths["standard_ips"]
    assert report.summary.cases_evaluated == logs.n_exposures


def test_per_item_the_model_narrows_and_all_estimators_are_there(logs: Simulated) -> None:
    _, payload = run_ope(given(logs), unit="item")
    found = {estimate.estimator: estimate for estimate in payload.estimates}
    assert list(found) == ["ips", "snips", "dm", "dr", "sndr", "switch_dr", "dros"]
    truth = logs.target_clicks_per_list / 3
    assert abs(found["dr"].value - truth) < 4 * found["dr"].standard_error
    assert found["dr"].standard_error < found["ips"].standard_error
    assert run_ope(given(logs), unit="item")[1] == payload


def test_clipping_is_reported_with_its_cost(logs: Simulated) -> None:
    _, payload = run_ope(given(logs), unit="item", max_weight=2.0)
    plain = run_ope(given(logs), unit="item")[1]
    assert payload.clipping is not None
    assert payload.clipping.rows_clipped > 0
    ips, clipped = plain.estimates[0].value, payload.estimates[0].value
    assert ips - clipped == pytest.approx(payload.clipping.value_removed)
    assert payload.diagnostics.largest_weight <= 2.0 + 1e-9
    assert run_ope(given(logs), max_weight=2.0)[1].diagnostics.largest_weight <= 8.0 + 1e-9


def test_an_unknown_policy_leaves_out_what_needs_it_and_says_why(logs: Simulated, tmp_path: Path) -> None:
    def personal(number: int, record: dict) -> None:
        if number % 2:
            for item in record["items"]:
                item["target_propensity"] = 0.25

    report, payload = run_ope(changed(logs, tmp_path, personal), unit="item")
    assert [estimate.estimator for estimate in payload.estimates] == ["ips", "snips"]
    assert "differs between requests" in payload.left_out["dr"]
    assert any(warning.code == "estimator_left_out" for warning in report.warnings)


def test_a_propensity_of_0_sets_the_list_aside_and_is_told(logs: Simulated, tmp_path: Path) -> None:
    def spoil(number: int, record: dict) -> None:
        if number in (3, 5):
            record["items"][0]["logging_propensity"] = 0.0

    report, payload = run_ope(changed(logs, tmp_path, spoil))
    assert payload.diagnostics.rows_set_aside == 2
    assert any("2 rows" in warning.detail for warning in report.warnings)


def test_a_missing_target_and_an_unknown_feature_are_errors(logs: Simulated, tmp_path: Path) -> None:
    def forget(number: int, record: dict) -> None:
        if number == 4:
            del record["items"][1]["target_propensity"]

    with pytest.raises(EvaluationError, match=r"1 of .* have no target_propensity"):
        run_ope(changed(logs, tmp_path, forget))
    with pytest.raises(EvaluationError, match="'age' is in the context of no exposure"):
        run_ope(given(logs), features=["age"])


def test_policy_by_rank_needs_every_item_that_the_target_shows() -> None:
    rank, action = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    policy = policy_by_rank(rank, action, np.array([0.3, 0.7, 0.5, 0.5]), n_actions=2)
    assert policy.tolist() == [[0.3, 0.7], [0.5, 0.5]]
    with pytest.raises(EvaluationError, match=r"rank 2 sum to 0\.600"):
        policy_by_rank(rank, action, np.array([0.3, 0.7, 0.1, 0.5]), n_actions=2)


def test_real_logs_of_one_policy_give_the_value_of_the_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    served = convert_open_bandit(tmp_path / "bts", policy="bts", campaign="all", salt=b"s")
    observed = convert_open_bandit(tmp_path / "random", policy="random", campaign="all", salt=b"s")
    logs = ["--exposures", str(served.exposures), "--outcomes", str(served.outcomes)]
    assert run(["eval", "ope", *logs, "--out", str(tmp_path / "r"), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    found = {row["estimator"]: row for row in report["ope"]["estimates"]}
    truth = observed.n_outcomes / observed.n_exposures
    for name in ("ips", "snips", "dr", "sndr", "switch_dr", "dros"):
        assert found[name]["low"] < truth < found[name]["high"]
    assert any("are worth" in warning["detail"] for warning in report["warnings"])
    assert "Take care" in (tmp_path / "r" / "report.html").read_text()
