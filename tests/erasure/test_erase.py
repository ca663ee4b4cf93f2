"""One user leaves logs, signals of all releases and comments; others, rollback and the audit chain stay."""

from __future__ import annotations

import json
import time
from array import array
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from recsys._native import Catalog, SessionKnnBuilder, Signal, SignalPacker, build_catalog
from recsys.artifacts.cache import ArtifactCache
from recsys.artifacts.publish import publish_release
from recsys.artifacts.registry import Registry, open_registry
from recsys.cli.main import run
from recsys.contracts.errors import UsageError
from recsys.contracts.pseudonym import pseudonym
from recsys.contracts.records import ExposedItem, Exposure
from recsys.control.plane import ControlPlane
from recsys.control.store import NotFoundError
from recsys.erasure.erase import erase_user, erased_subject
from recsys.eventlog.compaction import compact_logs
from recsys.eventlog.log import EventLog
from recsys.eventlog.parts import PartWriter
from recsys.eventlog.recent import Claim, RecentEvents, Touch, user_key


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("recsys.eventlog.erasing.ROTATED_AFTER_S", 0.0)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "data"


def publish(registry: Registry, surface: str, users: list[str], score: float) -> str:
    files = {kind: Path(f"{kind}.rsa") for kind in ("catalog", "popularity", "implicit")}
    build_catalog(str(files["catalog"]), ["a", "b"])
    catalog = Catalog.open(str(files["catalog"]))
    for kind, key_type, keys in (("popularity", "segment", ["default"]), ("implicit", "user", users)):
        packer = SignalPacker(catalog, kind=kind, key_type=key_type)  # type: ignore[arg-type]
        for key in keys:
            packer.push(key, ["b", "a"], [score, 1.0])
        window = {"start": "2026-01-01T00:00:00Z", "end": "2026-01-31T00:00:00Z"}
        packer.finish(str(files[kind]), metadata=json.dumps({"params": {"factors": 8}, "window": window}))
    # A session index has no users, and goes through as it is.
    files["session_knn"] = Path("session_knn.rsa")
    builder = SessionKnnBuilder(catalog, memory_bytes=1 << 20, scratch_dir=".")
    builder.push(array("Q", [1, 1]), array("I", [0, 1]), array("q", [0, 0]), array("f", [1.0, 1.0]))
    builder.finish(str(files["session_knn"]))
    return publish_release(registry, "shop", surface, files).version


def lists(registry: Registry, surface: str) -> dict[str, list[tuple[str, float]]]:
    files = ArtifactCache(Path("cache")).fetch(registry, registry.find("shop", surface))
    catalog, signal = Catalog.open(str(files["catalog"])), Signal.open(str(files["implicit"]))
    return {key: signal.ranked(catalog, key, 10) or [] for key in signal.keys(0, 10)}


def test_a_user_is_gone_from_everything_and_the_rest_stays(data: Path) -> None:
    plane, registry = ControlPlane.open(data / "control"), open_registry(data / "registry")
    salt = plane.create_tenant("shop", actor="t").salt
    gone, kept = pseudonym(salt, "ann"), pseudonym(salt, "bob")
    plane.put("shop", "config", b"{}", author="t", comment=f"asked by {gone.upper()}")
    plane.put("shop", "rules", b"[]", author="t", comment=f"asked by {kept}")
    log = EventLog(PartWriter(data / "logs" / "exposures"))
    old = datetime.now(UTC) - timedelta(hours=3)
    for number, user in enumerate((gone, kept)):
        log.append(Exposure(f"r{number}", user, old, [ExposedItem("a", 1)], context={"tenant_id": "shop"}))
    log.close()
    compact_logs(data / "logs", now=old.timestamp() + 4 * 3600)
    for number, user in enumerate((gone, kept)):
        log.append(Exposure(f"s{number}", user, old, [ExposedItem("a", 1)], context={"tenant_id": "shop"}))
    first = publish(registry, "home", [gone, kept], 3.0)
    second = publish(registry, "home", [gone, kept], 4.0)
    untouched = publish(registry, "cart", [kept], 5.0)
    registry.pin(registry.find("shop", "home", first))

    done = erase_user(plane, registry, data, "shop", gone, actor="ann")

    assert (done.live.records, done.compacted.records, done.comments) == (1, 1, 1)
    assert (done.signals.artifacts, done.signals.releases) == (2, 2)
    assert lists(registry, "home") == {kept: [("b", 4.0), ("a", 1.0)]}
    current = registry.find("shop", "home")
    assert current.version not in (first, second)
    assert current.artifacts["implicit"].params == {"factors": 8}
    assert current.artifacts["implicit"].window is not None
    assert current.artifacts["implicit"].counts["keys"] == 1
    assert registry.find("shop", "cart").version == untouched
    assert [one.version for one in registry.history("shop", "home")] == [current.version, current.parent]
    assert registry.pins("shop", "home") == {current.parent}
    registry.roll_back("shop", "home")
    assert lists(registry, "home") == {kept: [("b", 3.0), ("a", 1.0)]}
    entry, *others = plane.audit_entries("shop")
    assert (entry.action, entry.subject, entry.number) == (
        "user.erase",
        erased_subject(salt, gone),
        done.audit_entry,
    )
    assert [(one.comment, one.is_erased) for one in others[:2]] == [(f"asked by {kept}", False), ("", True)]
    plane.verify()
    plane.close()
    held = b"".join(
        path.read_bytes() for path in data.rglob("*") if path.is_file() and path.name != "data.mdb"
    )
    assert gone.encode() not in held
    assert kept.encode() in held

    plane = ControlPlane.open(data / "control")
    again = erase_user(plane, registry, data, "shop", gone, actor="ann")
    assert (again.live.records, again.compacted.records, again.signals.artifacts, again.comments) == (
        0,
        0,
        0,
        0,
    )
    plane.close()


def test_what_is_no_pseudonym_or_no_tenant_is_refused(data: Path) -> None:
    plane, registry = ControlPlane.open(data / "control"), open_registry(data / "registry")
    plane.create_tenant("shop", actor="t")
    for bad in ("", "ann", "A" * 64, "a" * 63, "a" * 64 + "\n"):
        with pytest.raises(UsageError):
            erase_user(plane, registry, data, "shop", bad, actor="t")
    with pytest.raises(NotFoundError):
        erase_user(plane, registry, data, "nobody", "a" * 64, actor="t")
    assert plane.generation() == 1
    plane.close()


def test_the_command_takes_a_pseudonym_or_the_callers_id(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plane = ControlPlane.open(data / "control")
    salt = plane.create_tenant("shop", actor="t").salt
    plane.close()
    log = EventLog(PartWriter(data / "logs" / "exposures"))
    for user in ("ann", "bob"):
        log.append(Exposure(user, pseudonym(salt, user), datetime.now(UTC), []))
    recent, key = RecentEvents(data / "cache" / "events"), user_key("shop", pseudonym(salt, "ann"))
    recent.claim([Claim(b"digest", key, Touch("item", time.time()))], lambda _: None)
    recent.close()
    assert run(["erase", "--tenant", "shop", "--user", "ann"]) == 0
    recent = RecentEvents(data / "cache" / "events")
    assert recent.touched(key, 10, 3600) == []
    recent.close()
    assert capsys.readouterr().out.startswith("erased: 1 log records, 0 signals in 0 releases, 0 comments")
    assert run(["erase", pseudonym(salt, "bob"), "--tenant", "shop", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["live"]["records"] == 1
    for wrong in ([], [pseudonym(salt, "bob"), "--user", "ann"], ["xyz"]):
        assert run(["erase", *wrong, "--tenant", "shop"]) == 2
