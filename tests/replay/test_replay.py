"""Logged requests ranked again by what a registry and a control store hold."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from recsys._native import Catalog
from recsys.artifacts.cache import ArtifactCache
from recsys.artifacts.publish import publish_release
from recsys.artifacts.registry import open_registry
from recsys.cli.main import run
from recsys.contracts.config import parse_config
from recsys.control.plane import ControlPlane
from recsys.evaluation.inputs import open_inputs
from recsys.evaluation.joins import open_join
from recsys.pipelines.build.catalog import build_catalog
from recsys.pipelines.build.cooc import CoocOptions, build_cooc
from recsys.pipelines.build.popularity import PopularityOptions, build_popularity
from recsys.pipelines.build.request import BuildInput
from recsys.pipelines.input.files import find_input_files
from recsys.ranking.snapshot import Snapshot
from recsys.replay.requests import find_requests

USER = "ab" * 32
OTHER = "cd" * 32


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def read_rows(path: Path) -> BuildInput:
    return BuildInput(find_input_files([path]), quarantine=path.with_suffix(".bad"))


def request(name: str, user: str, hour: int) -> dict[str, object]:
    return {"request_id": name, "user_id": user, "ts": f"2026-02-01T{hour:02}:00:00Z", "items": []}


def outcome(name: str, user: str, hour: int, item: str) -> dict[str, object]:
    ts = f"2026-02-01T{hour:02}:00:01Z"
    return {"request_id": name, "user_id": user, "item_id": item, "event_type": "click", "ts": ts}


@pytest.fixture
def logs(tmp_path: Path) -> dict[str, list[str]]:
    served = [request("r1", USER, 1), request("r2", USER, 2), request("r3", USER, 3), request("o", OTHER, 4)]
    came = [
        outcome("r1", USER, 1, "bread"),
        outcome("r2", USER, 2, "milk"),
        outcome("r2", USER, 2, "bread"),
        outcome("r3", USER, 3, "jam"),
        outcome("o", OTHER, 4, "milk"),
    ]
    return {
        "exposures": [str(write(tmp_path / "e.jsonl", served))],
        "outcomes": [str(write(tmp_path / "o.jsonl", came))],
    }


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A data folder whose release knows that milk is popular, and that jam goes with bread."""
    folder = tmp_path / "data"
    baskets = {"1": ["bread", "jam"], "2": ["bread", "jam"], "3": ["milk"], "4": ["milk"], "5": ["milk"]}
    rows: list[dict[str, object]] = [
        {
            "v": 1,
            "ts": "2026-01-01T00:00:00Z",
            "tenant": "demo",
            "surface": "home",
            "session_id": s,
            "item_id": i,
        }
        for s, items in baskets.items()
        for i in items
    ]
    items = write(tmp_path / "items.jsonl", [{"item_id": item} for item in ("bread", "jam", "milk")])
    interactions = read_rows(write(tmp_path / "rows.jsonl", rows))
    files = {kind: tmp_path / f"{kind}.rsa" for kind in ("catalog", "popularity", "cooc")}
    build_catalog(read_rows(items), files["catalog"])
    catalog = Catalog.open(str(files["catalog"]))
    build_popularity(catalog, interactions, files["popularity"], PopularityOptions())
    build_cooc(catalog, interactions, files["cooc"], CoocOptions())
    publish_release(open_registry(folder / "registry"), "demo", "home", files)
    plane = ControlPlane.open(folder / "control")
    plane.create_tenant("demo", actor="test")
    plane.close()
    return folder


def test_anchors_are_what_the_user_did_before_the_request_latest_first(logs: dict[str, list[str]]) -> None:
    with open_inputs(logs) as inputs, open_join(inputs) as join:  # type: ignore[arg-type]
        found = list(find_requests(join, None, None, 20))
    assert [(each.request_id, each.anchors) for each in found] == [
        ("r1", []),
        ("r2", ["bread"]),
        ("r3", ["milk", "bread"]),
        ("o", []),
    ]
    with open_inputs(logs) as inputs, open_join(inputs) as join:  # type: ignore[arg-type]
        late = list(find_requests(join, datetime(2026, 2, 1, 3, tzinfo=UTC), None, 1))
    assert [(each.request_id, each.anchors) for each in late] == [("r3", ["milk"]), ("o", [])]


def test_systems_of_a_release_are_compared(
    logs: dict[str, list[str]], data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    version = open_registry(data_dir / "registry").find("demo", "home").version
    command = ["eval", "offline", "--exposures", *logs["exposures"], "--outcomes", *logs["outcomes"]]
    command += ["--data-dir", str(data_dir), "--k", "1", "--replicates", "100", "--json"]

    def told(*options: str) -> dict[str, dict[str, float]]:
        assert run([*command, *options]) == 0, capsys.readouterr().err
        report = json.loads(capsys.readouterr().out)
        names = [file["name"] for file in report["inputs"] if file["role"] == "ranklists"]
        assert names == [system["system"] for system in report["offline"]["systems"]]
        return {
            system["system"]: {metric["metric"]: metric["value"] for metric in system["metrics"]}
            for system in report["offline"]["systems"]
        }

    found = told("--baseline", "signal:popularity", "--candidate", "signal:cooc")
    # Popularity gives milk (jam once milk is an anchor): right for r2, r3, o. Co-visitation has anchors for
    # r2 and r3 only, jam both times, and else what the ladder gives, which is popularity.
    assert found["signal:popularity"]["hit_rate"] == pytest.approx(3 / 4)
    assert found["signal:cooc"]["hit_rate"] == pytest.approx(2 / 4)
    assert set(told("--baseline", f"manifest:{version[:12]}", "--candidate", "mode:blend")) == {
        f"manifest:{version[:12]}",
        "mode:blend",
    }


def test_configs_are_compared_as_the_lists_that_they_rank_by_hand(
    logs: dict[str, list[str]], data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = open_registry(data_dir / "registry").find("demo", "home")
    # What each user had clicked before the request, latest first.
    asked = {"r1": (USER, 1, []), "r2": (USER, 2, ["bread"]), "r3": (USER, 3, ["milk", "bread"])}
    asked["o"] = (OTHER, 4, [])
    versions: list[str] = []
    by_hand: list[str] = []
    first_of_r2: list[str] = []
    plane = ControlPlane.open(data_dir / "control")
    for mode in ("cooc", "popularity", "blend"):  # the last is current, and not compared
        config = json.dumps({"defaults": {"mode": mode}}).encode()
        versions.append(plane.put("demo", "config", config, author="test").version)
        lists: list[dict[str, object]] = []
        with ArtifactCache(tmp_path / "cache").borrow(
            open_registry(data_dir / "registry"), manifest
        ) as files:
            snapshot = Snapshot(
                "demo", "home", files, manifest_version=manifest.version, config=parse_config(config)
            )
            for name, (user, hour, anchors) in asked.items():
                now = datetime(2026, 2, 1, hour, tzinfo=UTC)
                ranked = snapshot.plan("default", now).plan.rank(
                    2, int(now.timestamp() * 1000), anchors=anchors
                )
                line = {"request_id": name, "user_id": user, "ts": now.isoformat(), "items": ranked.item_ids}
                lists.append(line)
                if name == "r2":
                    first_of_r2.append(ranked.item_ids[0])
        by_hand.append(f"file:{write(tmp_path / f'{mode}.jsonl', lists)}")
    plane.close()
    assert first_of_r2[:2] == ["jam", "milk"]

    def told(baseline: str, candidate: str) -> dict[str, object]:
        command = ["eval", "offline", "--exposures", *logs["exposures"], "--outcomes", *logs["outcomes"]]
        command += ["--data-dir", str(data_dir), "--k", "1", "2", "--replicates", "200", "--json"]
        assert run([*command, "--baseline", baseline, "--candidate", candidate]) == 0, capsys.readouterr().err
        report: dict[str, object] = json.loads(capsys.readouterr().out)["offline"]
        return report

    def without_names(report: object) -> object:
        if isinstance(report, dict):
            return {key: without_names(value) for key, value in report.items() if key != "system"}
        return [without_names(each) for each in report] if isinstance(report, list) else report

    replayed = told(f"config:{versions[0]}", f"config:{versions[1]}")
    assert without_names(replayed) == without_names(told(by_hand[0], by_hand[1]))
    hits = [
        metric["value"]
        for system in replayed["systems"]  # type: ignore[attr-defined]
        for metric in system["metrics"]
        if (metric["metric"], metric["k"]) == ("hit_rate", 1)
    ]
    # As with the signals alone: jam goes with bread and with nothing else.
    assert hits == [pytest.approx(2 / 4), pytest.approx(3 / 4)]
    # The current config is another: what was compared did come from the versions that were named.
    assert without_names(told(f"config:{versions[0]}", f"config:{versions[2]}")) != without_names(replayed)


@pytest.mark.parametrize("name", ["signal:nothing", "mode:x", "signal:implicit", "config:", "other:1"])
def test_system_that_is_none_is_a_usage_error(
    logs: dict[str, list[str]], data_dir: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["eval", "offline", "--exposures", *logs["exposures"], "--outcomes", *logs["outcomes"]]
    assert run([*command, "--data-dir", str(data_dir), "--baseline", name]) == 1
    assert name in capsys.readouterr().err
