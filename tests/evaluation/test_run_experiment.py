"""From logs to the report of an experiment, by the command and by its function."""

import json
import re
from pathlib import Path

import pytest

from recsys.cli.main import run
from recsys.contracts.errors import EvaluationError
from recsys.evaluation.plan import plan_from, read_plan
from recsys.evaluation.report.experiment import experiment_story
from recsys.evaluation.report.html import render_html
from recsys.evaluation.run_experiment import run_experiment
from recsys.evaluation.simulate import Simulated, simulate

PLAN = """
control_variant = "control"
candidate_variant = "candidate"
start = 2026-01-08T00:00:00Z
metrics = ["ctr", "revenue_per_user", {name = "aov", numerator = "value", denominator = "conversions"}]

[primary_metric]
name = "ctr"
minimum_effect = 0.001

[guardrails]
p95_latency = 0.2
error_rate = 0.02
"""


ARMS = ["--control", "control", "--candidate", "candidate"]


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Simulated:
    return simulate(tmp_path_factory.mktemp("logs"), users=1200, lift=0.5, seed=1)


def options(logs: Simulated) -> list[str]:
    return ["--exposures", str(logs.exposures), "--outcomes", str(logs.outcomes)]


def test_the_simulation_is_the_same_for_the_same_seed(tmp_path: Path, logs: Simulated) -> None:
    again = simulate(tmp_path, users=1200, lift=0.5, seed=1)
    assert again.exposures.read_bytes() == logs.exposures.read_bytes()
    with pytest.raises(EvaluationError, match="4 users"):
        simulate(tmp_path, users=3, lift=0.0, seed=1)


def test_the_command_finds_the_effect_that_was_put_in(
    logs: Simulated, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text(PLAN)
    arguments = [
        "eval",
        "experiment",
        *options(logs),
        "--plan",
        str(plan),
        "--out",
        str(tmp_path / "r"),
        "--json",
    ]
    assert run(arguments) == 0
    report = json.loads(capsys.readouterr().out)
    assert report == json.loads((tmp_path / "r" / "report.json").read_text())
    assert report["summary"]["executive"]["decision"] == "pass"
    assert [file["role"] for file in report["inputs"]] == ["exposures", "outcomes", "plan"]
    ctr, revenue, aov = report["experiment"]["result"]["metrics"]
    assert ctr["absolute"]["low"] > 0
    assert ctr["cuped"]["variance_reduction"] > 0.02
    assert (revenue["absolute"]["method"], aov["absolute"]["method"]) == ("Welch t-test", "delta method")
    assert len(ctr["looks"]) == 14
    assert "ctr goes from" in (tmp_path / "r" / "report.md").read_text()


def test_the_gist_is_printed_with_the_numbers_of_the_report(
    logs: Simulated, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = [
        "--control",
        "control",
        "--candidate",
        "candidate",
        "--metric",
        "ctr",
        "--guardrail",
        "error_rate=0.05",
    ]
    assert run(["eval", "experiment", *options(logs), *chosen]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("Better: ctr goes from")
    assert "gate error rate: pass" in printed


def test_reports_of_the_same_logs_differ_in_run_and_time_alone(logs: Simulated) -> None:
    plan = plan_from({"control_variant": "control", "candidate_variant": "candidate", "metrics": ["ctr"]})
    given = {"exposures": [str(logs.exposures)], "outcomes": [str(logs.outcomes)]}
    pages = []
    for _ in range(2):
        report, payload = run_experiment(given, plan)  # type: ignore[arg-type]
        page = render_html(report, experiment_story(report, payload))
        pages.append(re.sub(r"Run [0-9a-f]{32}, [0-9TZ:-]+", "", page))
    assert pages[0] == pages[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give --plan, or --control and --candidate"),
        (
            ["--control", "control", "--candidate", "gone"],
            "no request is in arm 'gone'; there are: candidate, control",
        ),
        (["--control", "control", "--candidate", "candidate", "--metric", "gmv"], "'gmv' is not one of"),
        ([*ARMS, "--guardrail", "error_rate"], "NAME=MARGIN"),
        ([*ARMS, "--start", "soon"], "start"),
        (["--plan", "none.toml", "--control", "control"], "leave out control_variant"),
        (["--plan", "none.toml"], "none.toml"),
    ],
)
def test_what_cannot_be_measured_is_said_in_one_line(
    logs: Simulated, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["eval", "experiment", *options(logs), *arguments]) == 1
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1


def test_a_plan_of_toml_reads_times_metrics_and_tables(tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text(PLAN)
    plan = read_plan(tmp_path / "plan.toml")
    assert [metric.name for metric in plan.family] == ["ctr", "revenue_per_user", "aov"]
    assert plan.start is not None
    (tmp_path / "plan.toml").write_text(PLAN.replace("error_rate = 0.02", 'error_rate = "low"'))
    with pytest.raises(EvaluationError, match=r"plan\.toml: .*guardrails"):
        read_plan(tmp_path / "plan.toml")


def test_an_experiment_that_is_not_in_the_logs_is_said_with_those_that_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = simulate(tmp_path, users=100, lift=0.1, seed=1)
    logs = ["--exposures", str(made.exposures), "--outcomes", str(made.outcomes)]
    arms = ["--control", "control", "--candidate", "candidate", "--experiment", "simulatd"]
    assert run(["eval", "experiment", *logs, *arms]) == 1
    assert "no experiment 'simulatd' in the logs; they have: simulated" in capsys.readouterr().err


def test_outcomes_that_hardly_join_fail_before_any_effect_is_called_better(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = simulate(tmp_path, users=100, lift=0.1, seed=1)
    lines = made.outcomes.read_text().splitlines(keepends=True)
    lost = [line.replace('"request_id":"', '"request_id":"lost') for line in lines[: len(lines) * 9 // 10]]
    made.outcomes.write_text("".join(lost + lines[len(lost) :]))
    logs = ["--exposures", str(made.exposures), "--outcomes", str(made.outcomes)]
    assert run(["eval", "experiment", *logs, "--control", "control", "--candidate", "candidate"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("Fail: join rate fails.")
    assert "% of outcomes join an exposure, 95.0 % are needed: no number below is safe" in told
