"""Logs of several tenants are measured one tenant at a time, and never mixed in silence."""

import json
from pathlib import Path

import pytest

from recsys.cli.main import run
from recsys.contracts.errors import EvaluationError
from recsys.evaluation.inputs import open_inputs
from recsys.evaluation.joins import join_logs, open_join
from recsys.evaluation.simulate import simulate
from recsys.evaluation.validate import validate_logs

Record = dict[str, object]


def exposure(request: str, tenant: str | None, ts: str = "2026-01-01T00:00:00Z") -> Record:
    context = {"surface": "home", "experiment_id": "blend", "experiment_variant": "a"}
    if tenant is not None:
        context["tenant_id"] = tenant
    items = [{"item_id": "i", "rank": 1}]
    return {"request_id": request, "user_id": "a" * 64, "ts": ts, "items": items, "context": context}


def outcome(request: str) -> Record:
    return {
        "request_id": request,
        "user_id": "a" * 64,
        "item_id": "i",
        "event_type": "click",
        "ts": "2026-01-01T01:00:00Z",
    }


def assignment(request: str, variant: str, tenant: str | None = None) -> Record:
    record: Record = {
        "experiment_id": "blend",
        "variant": variant,
        "request_id": request,
        "user_id": "a" * 64,
        "ts": "2026-01-01T00:00:00Z",
    }
    return record if tenant is None else record | {"context": {"tenant_id": tenant}}


def write(path: Path, records: list[Record]) -> str:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return str(path)


@pytest.fixture
def logs(tmp_path: Path) -> tuple[str, str]:
    served = [exposure("r1", "acme"), exposure("r2", "t2"), exposure("r3", "t2"), exposure("r4", None)]
    clicks = [outcome("r1"), outcome("r2"), outcome("r3"), outcome("nobody")]
    return write(tmp_path / "e.jsonl", served), write(tmp_path / "o.jsonl", clicks)


@pytest.mark.parametrize(
    ("tenant", "requests", "outcomes"),
    [("acme", ["r1"], 2), ("t2", ["r2", "r3"], 3), ("", ["r4"], 1)],
)
def test_exposures_of_a_tenant_and_the_outcomes_of_their_requests_are_kept(
    logs: tuple[str, str], tenant: str, requests: list[str], outcomes: int
) -> None:
    joined = join_logs([logs[0]], [logs[1]], tenant=tenant)
    assert joined.requests["request_id"].to_pylist() == requests
    assert joined.counts.exposures == len(requests)
    # The outcome without an exposure may be anybody's, and counts as one that does not join.
    assert joined.counts.outcomes == outcomes
    assert joined.counts.outcomes_matched == outcomes - 1


def test_logs_of_several_tenants_are_refused_by_name(logs: tuple[str, str]) -> None:
    several = r"the logs are of tenants \(no tenant\), acme, t2: name one with --tenant"
    with pytest.raises(EvaluationError, match=several):
        join_logs([logs[0]], [logs[1]])
    with pytest.raises(EvaluationError, match=r"no exposure is of tenant 'nobody'; .* acme, t2"):
        join_logs([logs[0]], [logs[1]], tenant="nobody")


def test_logs_that_name_no_tenant_are_taken_whole(tmp_path: Path) -> None:
    served = write(tmp_path / "e.jsonl", [exposure("r1", None)])
    clicks = write(tmp_path / "o.jsonl", [outcome("r1")])
    assert join_logs([served], [clicks], tenant="acme") == join_logs([served], [clicks])


def test_a_request_id_that_two_tenants_share_is_that_of_each(tmp_path: Path) -> None:
    served = [exposure("r1", "acme", "2026-01-01T00:30:00Z"), exposure("r1", "t2")]
    paths = write(tmp_path / "e.jsonl", served), write(tmp_path / "o.jsonl", [outcome("r1")])
    arms = write(tmp_path / "a.jsonl", [assignment("r1", "x", "acme"), assignment("r1", "y", "t2")])
    for tenant, hour, variant in (("acme", 30, "x"), ("t2", 0, "y")):
        joined = join_logs([paths[0]], [paths[1]], [arms], tenant=tenant)
        row = joined.requests.to_pylist()[0]
        assert (row["ts"].minute, row["clicks"], row["variant"]) == (hour, 1, variant)
        assert (joined.counts.exposure_conflicts, joined.counts.requests_in_two_arms) == (0, 0)


def test_assignments_follow_their_request(tmp_path: Path, logs: tuple[str, str]) -> None:
    arms = write(tmp_path / "a.jsonl", [assignment("r1", "x"), assignment("r2", "y")])
    with (
        open_inputs({"exposures": [logs[0]], "outcomes": [logs[1]], "assignments": [arms]}) as inputs,
        open_join(inputs, tenant="acme") as join,
    ):
        assert join.connection.execute("SELECT variant FROM assignments").fetchall() == [("x",)]


def test_the_check_of_logs_takes_all_tenants_and_gives_their_rates(logs: tuple[str, str]) -> None:
    paths = {"exposures": [logs[0]], "outcomes": [logs[1]]}
    result = validate_logs(paths)  # type: ignore[arg-type]
    rates = {row.value: row.outcomes_matched for row in result.slices if row.dimension == "tenant_id"}
    assert rates == {"(no exposure)": 0, "(not given)": 0, "acme": 1, "t2": 2}
    one = validate_logs(paths, tenant="t2")  # type: ignore[arg-type]
    assert [row for row in one.slices if row.dimension == "tenant_id"] == []
    assert (one.join.exposures if one.join else None) == 2


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Simulated logs in which every third user is of t2, and the others of acme."""
    folder = tmp_path_factory.mktemp("mixed")
    made = simulate(folder / "made", users=300, lift=0.6, seed=1)
    users: dict[str, str] = {}
    lines = []
    for line in made.exposures.read_text().splitlines():
        record = json.loads(line)
        tenant = users.setdefault(record["user_id"], "t2" if len(users) % 3 == 0 else "acme")
        record["context"]["tenant_id"] = tenant
        for item in record["items"]:
            item["team"] = "ab"[item["rank"] % 2]
        lines.append(json.dumps(record) + "\n")
    (folder / "e.jsonl").write_text("".join(lines))
    (folder / "o.jsonl").write_text(made.outcomes.read_text())
    (folder / "plan.toml").write_text(
        'control_variant = "control"\ncandidate_variant = "candidate"\nmetrics = ["ctr"]\n'
        '[primary_metric]\nname = "ctr"\n'
    )
    return folder


@pytest.mark.parametrize(
    "command",
    [
        ["offline"],
        ["experiment", "--control", "control", "--candidate", "candidate", "--metric", "ctr"],
        ["decide", "--plan", "plan.toml"],
        ["interleaving"],
        ["aa", "--metric", "ctr"],
        ["ope"],
    ],
    ids=lambda command: command[0],
)
def test_every_measurement_takes_one_tenant(
    mixed: Path, command: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(mixed)
    logs = ["--exposures", "e.jsonl", "--outcomes", "o.jsonl"]
    assert run(["eval", *command, *logs]) == 1
    assert "the logs are of tenants acme, t2: name one with --tenant" in capsys.readouterr().err
    for tenant in ("acme", "t2"):
        run(["eval", *command, *logs, "--tenant", tenant, "--out", tenant])
    reports = [json.loads(Path(tenant, "report.json").read_text()) for tenant in ("acme", "t2")]
    assert [report["effective_config"]["tenant"] for report in reports] == ["acme", "t2"]
    if command[0] in ("experiment", "decide"):
        measured = [report["experiment"].get("measured", report["experiment"]) for report in reports]
        users = [sum(one["result"]["sample_ratio"]["observed"].values()) for one in measured]
        records = [json.loads(line) for line in Path("e.jsonl").read_text().splitlines()]
        served = {
            (r["user_id"], r["context"]["tenant_id"]) for r in records if "experiment_variant" in r["context"]
        }
        assert users == [sum(of == tenant for _, of in served) for tenant in ("acme", "t2")]


def test_the_experiments_that_an_error_names_are_those_of_the_tenant(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = exposure("r2", "t2")
    other["context"] = {"tenant_id": "t2", "experiment_id": "secret", "experiment_variant": "a"}
    served = write(tmp_path / "e.jsonl", [exposure("r1", "acme"), other])
    logs = ["--exposures", served, "--outcomes", write(tmp_path / "o.jsonl", [outcome("r1")])]
    arms = ["--control", "a", "--candidate", "b", "--experiment", "blnd", "--tenant", "acme"]
    assert run(["eval", "experiment", *logs, *arms]) == 1
    assert "no experiment 'blnd' in the logs; they have: blend\n" in capsys.readouterr().err
