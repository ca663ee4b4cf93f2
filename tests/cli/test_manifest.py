import json
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec import structs

from recsys._native import Catalog, SignalPacker, build_catalog
from recsys.artifacts.publish import publish_release
from recsys.artifacts.registry import Registry, open_registry
from recsys.cli.main import run
from recsys.contracts.manifest import ArtifactWindow, Manifest
from recsys.control.experiments import create_experiment
from recsys.control.plane import ControlPlane
from recsys.control.release_moves import entering

START = datetime(2026, 1, 1, tzinfo=UTC)
OF = ["--tenant", "shop", "--surface", "home"]


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.chdir(tmp_path)
    return open_registry("data/registry")


def publish(registry: Registry, top: str) -> Manifest:
    files = {kind: Path(f"{kind}-{top}.rsa") for kind in ("catalog", "popularity")}
    build_catalog(str(files["catalog"]), ["a", "b", "c"])
    packer = SignalPacker(Catalog.open(str(files["catalog"])), kind="popularity", key_type="segment")
    packer.push("default", ["a", "b", "c"], [9.0 if item == top else 1.0 for item in "abc"])
    packer.finish(str(files["popularity"]))
    return publish_release(registry, "shop", "home", files)


def printed(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    value: dict[str, object] = json.loads(capsys.readouterr().out)
    return value


def test_releases_are_listed_shown_and_compared(
    registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = publish(registry, "a"), publish(registry, "b")
    assert run(["manifest", "list", *OF, "--json"]) == 0
    listed = printed(capsys)
    assert listed["current"] == second.version
    assert [one["version"] for one in listed["releases"]] == [second.version, first.version]
    assert run(["manifest", "show", first.version[:10], *OF, "--json"]) == 0
    assert printed(capsys)["version"] == first.version
    assert run(["manifest", "diff", *OF, "--k", "1", "--json"]) == 0
    assert printed(capsys)["signals"]["popularity"]["lists"]["default"]["entering"] == ["b"]
    for command in ("list", "show", "diff"):
        assert run(["manifest", command, *OF]) == 0
    assert first.version[:12] in capsys.readouterr().out
    assert not list(Path("data/cache/artifacts").glob("releases/*/*"))  # looking is not serving


def test_a_release_is_shown_within_the_width_of_the_terminal(
    registry: Registry, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = {
        "rows": 3_000_000,
        "single_item_sessions": 26,
        "first_ts_ms": 1_767_225_600_000,
        "heavy_sessions": 0,
    }
    shown = publish(registry, "a")
    full = structs.replace(shown.artifacts["popularity"], counts=counts, window=ArtifactWindow(START, START))
    wide = structs.replace(shown, artifacts={**shown.artifacts, "popularity": full})
    monkeypatch.setattr(Registry, "find", lambda *_: wide)
    monkeypatch.setenv("COLUMNS", "80")
    assert run(["manifest", "show", *OF]) == 0
    lines = capsys.readouterr().out.splitlines()
    uris = [shown.current[kind] for kind in sorted(shown.current)]
    assert lines[-len(uris) :] == uris  # each on a line of its own, to be copied
    assert max(len(line) for line in lines[: -len(uris)]) <= 80
    table = "".join(lines)
    assert "3,000,000 rows" in table
    assert "heavy_sessions" not in table
    assert "first_ts_ms" not in table


def test_a_rollback_moves_the_pointer_and_is_audited(
    registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = publish(registry, "a"), publish(registry, "b")
    assert run(["manifest", "rollback", *OF, "--comment", "too red", "--json"]) == 0
    assert printed(capsys)["version"] == first.version
    assert registry.find("shop", "home") == first
    assert run(["manifest", "rollback", *OF]) == 1
    assert "has no release before" in capsys.readouterr().err
    assert run(["manifest", "rollback", *OF, "--to", first.version]) == 0  # nothing to do, nothing to audit
    plane = ControlPlane.open(Path("data/control"))
    entries = plane.audit_entries("shop")
    plane.close()
    assert [(one.action, one.subject, one.before, one.after, one.comment) for one in entries] == [
        ("release.rollback", "home", second.version, first.version, "too red")
    ]


def test_a_pin_keeps_a_release(registry: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    first = publish(registry, "a")
    for top in "bca":
        publish(registry, top)
    assert run(["manifest", "pin", first.version[:8], *OF]) == 0
    assert run(["manifest", "gc", "--keep", "1", "--min-age", "1s", "--dry-run", "--json"]) == 0
    capsys.readouterr()
    assert registry.pins("shop", "home") == {first.version}
    assert run(["manifest", "pin", first.version[:8], *OF, "--remove"]) == 0
    assert registry.pins("shop", "home") == frozenset()
    assert run(["manifest", "gc", "--keep", "0"]) == 2
    assert run(["manifest", "gc", "--min-age", "soon"]) == 2


def test_what_does_not_exist_is_an_error(registry: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["manifest", "show", *OF]) == 1
    assert "nothing is published for shop/home" in capsys.readouterr().err
    publish(registry, "a")
    assert run(["manifest", "diff", *OF]) == 2
    assert "has no parent" in capsys.readouterr().err
    assert run(["manifest", "show", "../../x", *OF]) == 1
    assert run(["manifest", "list", *OF, "--registry", "ftp://x"]) == 1


@pytest.mark.parametrize("place", ["arm", "rollback"])
def test_what_an_experiment_names_stays_until_it_has_ended(place: str, registry: Registry) -> None:
    named, other, _ = [publish(registry, top) for top in "abc"]
    publish(registry, "ab")
    time.sleep(1.1)  # all of them are older than the least age
    arm = {"manifest_version": named.version} if place == "arm" else {}
    rollback = {"to": "versions", "manifest_version": named.version} if place == "rollback" else None
    experiment = {
        "id": "tops",
        "surface": "home",
        "arms": [{"name": "control"}, {"name": "other", **arm}],
        "primary_metric": {"name": "ctr"},
        "guardrails": [{"metric": "error_rate", "margin": 0.01}],
        "rollback": rollback or {"to": "current"},
    }
    plane = ControlPlane.open(Path("data/control"))
    plane.create_tenant("shop", actor="t")
    create_experiment(plane, "shop", experiment, author="t")
    plane.close()
    collect = ["manifest", "gc", "--keep", "1", "--min-age", "1s"]
    assert run(collect) == 0
    assert named in registry.history("shop", "home")
    assert other not in registry.history("shop", "home")
    assert run(["experiment", "start", "tops", "--tenant", "shop"]) == 0
    assert run(collect) == 0
    assert named in registry.history("shop", "home")
    assert run(["experiment", "stop", "tops", "--tenant", "shop"]) == 0
    assert run(collect) == 0
    assert named not in registry.history("shop", "home")


@pytest.mark.parametrize("command", ["list", "show", "pin", "rollback"])
def test_a_move_that_was_killed_before_its_entry_is_entered_by_the_next_command(
    command: str, registry: Registry
) -> None:
    first, second = publish(registry, "a"), publish(registry, "b")
    plane = ControlPlane.open(Path("data/control"))
    moving = entering(plane, "shop", "home", actor="ann", action="release.rollback", comment="red")
    rolling = moving(second.version, first.version)
    rolling.__enter__()
    registry.roll_back("shop", "home")
    plane.close()  # as if killed here: the block is never left
    run(["manifest", command, *OF])
    plane = ControlPlane.open(Path("data/control"))
    entry = plane.audit_entries("shop")[-1]
    plane.close()
    assert (entry.actor, entry.before, entry.after) == ("ann", second.version, first.version)
    assert entry.comment.startswith("red. entered late")


def test_releases_can_be_looked_at_without_the_audit_trail(
    registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    version = publish(registry, "a").version
    Path("data/control").mkdir()
    Path("data/control/data.mdb").write_bytes(b"no store at all" * 1000)
    assert run(["manifest", "show", *OF]) == 0
    printed_out = capsys.readouterr()
    assert version in printed_out.out
    assert "whether the audit trail has all releases is not known" in printed_out.err


def test_the_registry_is_that_of_the_environment_as_for_the_service(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = Path("elsewhere").absolute()
    release = publish(open_registry(elsewhere), "a")
    monkeypatch.setenv("RECSYS_REGISTRY", str(elsewhere))
    assert run(["manifest", "list", *OF, "--json"]) == 0
    assert printed(capsys)["current"] == release.version


def test_releases_that_are_not_there_are_told_beside_those_that_are(
    registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(registry, "a")
    assert run(["manifest", "list", "--tenant", "shop", "--surface", "hme"]) == 0
    told = capsys.readouterr()
    assert told.out == ""
    assert "no release of shop/hme; there are those of shop/home" in told.err
    assert run(["manifest", "list", *OF, "--registry", "elsewhere"]) == 0
    assert "elsewhere: no release of shop/home; there is no release at all" in capsys.readouterr().err
    assert run(["manifest", "gc", "--registry", "elsewhere"]) == 0
    assert "elsewhere: there is no release at all" in capsys.readouterr().err
    assert run(["manifest", "gc"]) == 0
    assert capsys.readouterr().err == ""
