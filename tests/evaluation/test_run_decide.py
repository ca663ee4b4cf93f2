"""From logs and a plan to an exit code: data quality before any metric, and nothing inconclusive ships."""

import json
from pathlib import Path

import pytest

from recsys._native import build_catalog
from recsys.artifacts.publish import publish_release
from recsys.artifacts.registry import open_registry
from recsys.cli.main import run
from recsys.evaluation.simulate import Simulated, simulate

PLAN = """
control_variant = "control"
candidate_variant = "candidate"
start = 2026-01-08T00:00:00Z
metrics = ["ctr"]
rollback_version = "v1"

[primary_metric]
name = "ctr"
minimum_effect = 0.001

[guardrails]
error_rate = 0.02
"""


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Simulated:
    return simulate(tmp_path_factory.mktemp("logs"), users=800, lift=0.6, seed=1)


class Case:
    """A decision to be made: a plan and logs that a test may change."""

    def __init__(self, folder: Path, logs: Simulated) -> None:
        self.folder = folder
        self.plan = folder / "plan.toml"
        self.plan.write_text(PLAN)
        self.exposures = logs.exposures.read_text().splitlines(keepends=True)
        self.outcomes = logs.outcomes.read_text().splitlines(keepends=True)

    def edit_plan(self, old: str, new: str) -> None:
        assert old in PLAN
        self.plan.write_text(PLAN.replace(old, new))

    def decide(self, *more: str) -> int:
        exposures, outcomes = self.folder / "e.jsonl", self.folder / "o.jsonl"
        exposures.write_text("".join(self.exposures))
        outcomes.write_text("".join(self.outcomes))
        logs = ["--exposures", str(exposures), "--outcomes", str(outcomes)]
        return run(["eval", "decide", "--plan", str(self.plan), *logs, *more])

    def write(self) -> tuple[int, dict]:
        """Return the exit code and the decision that is written to the folder of the report."""
        code = self.decide("--out", str(self.folder / "r"))
        return code, json.loads((self.folder / "r" / "decision.json").read_text())


@pytest.fixture
def case(tmp_path: Path, logs: Simulated) -> Case:
    return Case(tmp_path, logs)


def stopped_at(decision: dict) -> list[str]:
    return [gate["name"] for gate in decision["gates"] if gate["status"] in ("hold", "fail")]


def test_a_clear_improvement_ships_and_the_report_says_why(
    case: Case, capsys: pytest.CaptureFixture[str]
) -> None:
    code, decision = case.write()
    assert code == 0
    assert decision["decision"] == "ship"
    assert len(decision["inputs"]) == 3
    assert all(len(digest) == 64 for digest in decision["inputs"].values())
    assert capsys.readouterr().out.startswith("ship\n")
    report = json.loads((case.folder / "r" / "report.json").read_text())
    assert report["summary"]["executive"]["decision"] == "pass"
    assert [gate["verdict"] for gate in report["gates"]] == ["pass"] * 5
    page = (case.folder / "r" / "report.html").read_text()
    assert ">Ship</span>" in page


@pytest.mark.parametrize(
    ("old", "new", "code", "gate"),
    [
        ("minimum_effect = 0.001", "minimum_effect = 0.2", 2, "primary_metric"),
        ('rollback_version = "v1"', "", 2, "rollback_path"),
        ("error_rate = 0.02", "error_rate = 0.0001", 2, "guardrails"),
        ('"ctr"]', '"ctr"]\nshares = {control = 0.2, candidate = 0.8}', 3, "join_integrity"),
        ('"ctr"]', '"ctr"]\nshares = {control = 1, candidate = 1, third = 1}', 3, "join_integrity"),
        (
            'control_variant = "control"\ncandidate_variant = "candidate"',
            'control_variant = "candidate"\ncandidate_variant = "control"',
            3,
            "primary_metric",
        ),
    ],
)
def test_each_gate_gives_its_exit_code(
    case: Case, old: str, new: str, code: int, gate: str, capsys: pytest.CaptureFixture[str]
) -> None:
    case.edit_plan(old, new)
    assert case.decide("--json") == code
    assert stopped_at(json.loads(capsys.readouterr().out)) == [gate]


def test_a_gate_that_holds_says_hold_in_the_report(case: Case) -> None:
    case.edit_plan("minimum_effect = 0.001", "minimum_effect = 0.2")
    assert case.write()[0] == 2
    report = json.loads((case.folder / "r" / "report.json").read_text())
    verdicts = ["pass", "pass", "pass", "hold", "not_reached"]
    assert [gate["verdict"] for gate in report["gates"]] == verdicts
    assert report["summary"]["executive"]["decision"] == "fail"
    page = (case.folder / "r" / "report.html").read_text()
    assert '<li class="hold"><b>primary metric</b> <span class="mark">hold</span>' in page


def test_defective_logs_fail_before_anything_is_measured(case: Case) -> None:
    case.exposures[3] = case.exposures[3][:40] + "\n"
    code, decision = case.write()
    assert code == 3
    assert stopped_at(decision) == ["schemas"]
    assert decision["reason"] == "1 records are defective (not_json)"
    report = json.loads((case.folder / "r" / "report.json").read_text())
    assert report["experiment"]["measured"] is None
    assert "not_json" in (case.folder / "r" / "report.html").read_text()


def test_a_propensity_of_0_is_a_named_finding(case: Case) -> None:
    case.exposures[3] = case.exposures[3].replace(
        '"logging_propensity":', '"logging_propensity":0.0,"was":', 1
    )
    assert case.write()[0] == 3
    assert "zero_propensity" in (case.folder / "r" / "report.md").read_text().replace("\\", "")


def test_outcomes_that_do_not_join_fail(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    case.outcomes = [line.replace('"simulated-', '"lost-') for line in case.outcomes[::5]] + case.outcomes[
        1::5
    ]
    assert case.decide("--json") == 3
    assert stopped_at(json.loads(capsys.readouterr().out)) == ["join_integrity"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('candidate_variant = "candidate"', 'candidate_variant = "gone"', "arm 'gone'"),
        ('name = "ctr"', 'name = "gmv"', "'gmv' is not among metrics"),
        ("error_rate = 0.02", "gmv = 0.02", "'gmv' is none of"),
        ("[primary_metric]", "[primary]", "primary"),
        ('[primary_metric]\nname = "ctr"\nminimum_effect = 0.001', "", "primary_metric is missing"),
    ],
)
def test_what_is_unknown_is_an_error_and_no_decision(
    case: Case, old: str, new: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    case.edit_plan(old, new)
    assert case.decide("--out", str(case.folder / "r")) == 1
    assert message in capsys.readouterr().err
    assert not (case.folder / "r").exists()


def test_a_registry_without_the_release_is_an_error_and_no_decision(
    case: Case, capsys: pytest.CaptureFixture[str]
) -> None:
    case.edit_plan('rollback_version = "v1"', "")
    registry = str(case.folder / "registry")
    assert case.decide("--registry", registry, "--tenant", "demo", "--surface", "home", "--json") == 1
    assert "nothing is published for demo/home" in capsys.readouterr().err
    assert case.decide("--registry", registry) == 1
    assert "--registry needs --tenant" in capsys.readouterr().err
    assert case.decide("--no-such-option") == 1


def test_a_version_to_return_to_is_checked_or_said_not_to_be(
    case: Case, capsys: pytest.CaptureFixture[str]
) -> None:
    code, decision = case.write()
    assert code == 0
    assert decision["gates"][4]["reason"] == "rollback goes to v1 (not checked: no --registry)"
    assert case.decide("--rollback-version", "../v1") == 1
    assert "'../v1' is no version of a release" in capsys.readouterr().err
    catalog = case.folder / "catalog.rsa"
    build_catalog(str(catalog), ["a", "b"])
    registry = str(case.folder / "registry")
    release = publish_release(open_registry(registry), "demo", "home", {"catalog": catalog})
    there = ["--registry", registry, "--tenant", "demo", "--surface", "home"]
    assert case.decide(*there, "--rollback-version", "nonsense") == 1
    assert "nonsense" in capsys.readouterr().err
    assert case.decide(*there, "--rollback-version", release.version, "--json") == 0
    assert json.loads(capsys.readouterr().out)["gates"][4]["reason"] == f"rollback goes to {release.version}"
