"""What a worker serves follows the store and the registry, one tenant at a time, and never for the worse."""

import json
import shutil
import subprocess
import sys
import time

import msgspec
import pytest
from tests.service.conftest import Client, publish, write_tenant

from recsys import _native
from recsys.artifacts.registry import open_registry
from recsys.control.plane import ControlPlane
from recsys.control.store import StoreUnavailableError
from recsys.service.app import App
from recsys.service.auth import DevelopmentAuthenticator
from recsys.service.releases import Releases
from recsys.service.state import Logs, State
from recsys.service.watcher import Watcher

BLOCK = [{"rule_id": "b", "action": "BLOCK", "target_type": "ITEM", "target_key": "i00"}]


def put_rules(client, rules, tenant="demo"):
    return client.state.plane.put(tenant, "rules", json.dumps(rules).encode(), author="test").version


def meta(client):
    return client.recommend().json()["meta"]


def test_a_new_document_is_served_and_named(client):
    before = client.recommend()
    version = put_rules(client, BLOCK)
    client.watcher.refresh()
    after = client.recommend()
    assert "i00" in before.item_ids
    assert "i00" not in after.item_ids
    assert after.json()["meta"]["rules_version"] == version
    client.state.plane.roll_back("demo", "rules", author="test", to=version)
    assert meta(client)["rules_version"] == version


def test_without_documents_the_built_in_versions_are_named(client):
    assert meta(client)["rules_version"] == _version_of("[]")
    assert meta(client)["config_version"] == _version_of("{}")
    assert put_rules(client, []) == _version_of("[]")


def _version_of(text):
    from hashlib import sha256

    return sha256(text.encode()).hexdigest()


def test_the_threads_follow_the_store_and_the_pointers(client, tmp_path):
    client.watcher.start()
    version = put_rules(client, BLOCK)
    _wait_for(lambda: meta(client)["rules_version"] == version)
    manifest = publish(tmp_path, ("catalog", "popularity"))
    _wait_for(lambda: meta(client)["manifest_version"] == manifest.version)
    open_registry(tmp_path / "registry").roll_back("demo", "home")
    _wait_for(lambda: meta(client)["manifest_version"] == manifest.parent)


def test_a_move_by_the_command_line_is_noticed_at_once_though_object_stores_are_asked_seldom(
    client, tmp_path, monkeypatch
):
    monkeypatch.setattr(Releases, "is_local", property(lambda _: False))
    monkeypatch.setattr("recsys.service.watcher.OBJECT_STORE_INTERVAL_S", 600.0)
    manifest = publish(tmp_path, ("catalog", "popularity"))
    client.watcher.refresh()
    assert meta(client)["manifest_version"] == manifest.version
    client.watcher.start()
    command = [sys.executable, "-c", "from recsys.cli.main import main; main()", "manifest", "rollback"]
    where = ["--tenant", "demo", "--surface", "home", "--data-dir", str(tmp_path)]
    subprocess.run([*command, *where], check=True)
    _wait_for(lambda: meta(client)["manifest_version"] == manifest.parent)


def _wait_for(is_so, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_change_of_one_tenant_touches_no_snapshot_of_another(client, tmp_path):
    client.state.plane.create_tenant("other", actor="test")
    _publish_for_other(tmp_path)
    client.watcher.refresh()
    before = dict(client.state.tenants)
    put_rules(client, BLOCK)
    client.watcher.refresh()
    assert client.state.tenants["other"].snapshots["home"] is before["other"].snapshots["home"]
    assert client.state.tenants["demo"].snapshots["home"] is not before["demo"].snapshots["home"]


def _publish_for_other(tmp_path):
    from recsys.artifacts.publish import publish_release

    files = {kind: tmp_path / "artifacts" / f"{kind}.rsa" for kind in ("catalog", "popularity")}
    publish_release(open_registry(tmp_path / "registry"), "other", "home", files)


def test_a_release_that_cannot_be_used_leaves_the_last_good_one_and_says_so(client, tmp_path):
    before = meta(client)
    pointer = tmp_path / "registry" / "current" / "demo" / "home" / "manifest.json"
    good = pointer.read_bytes()
    document = json.loads(good)
    document["artifacts"]["popularity"]["sha256"] = "0" * 64
    del document["version"]
    pointer.write_text(json.dumps(document))
    client.watcher.refresh()
    answer = client.recommend()
    assert answer.json()["meta"] | {"request_id": ""} == before | {"request_id": ""}
    (warning,) = (one for one in answer.json()["warnings"] if one["code"] == "SERVING_LAST_KNOWN_GOOD")
    assert "popularity" in warning["detail"]
    ready = client.get("/readyz")
    assert (ready.status, ready.json()["status"]) == (200, "degraded")
    assert "the last good version is served" in ready.body.decode()
    metrics = client.get("/metrics").body.decode()
    assert 'recsys_snapshot_stale{surface="home",tenant="demo"} 1.0' in metrics
    assert 'recsys_snapshot_failures_total{surface="home",tenant="demo"} 1.0' in metrics
    pointer.write_bytes(good)
    client.watcher.refresh()
    assert client.recommend().warning_codes == []
    assert client.get("/readyz").json()["status"] == "ok"


def test_a_document_that_this_release_does_not_take_leaves_the_last_good_one(client, monkeypatch):
    version = put_rules(client, BLOCK)
    client.watcher.refresh()
    monkeypatch.setattr("recsys.control.versions.read_rules", lambda value: ())
    client.state.plane.put("demo", "rules", b'[{"rule_id": "from the future"}]', author="test")
    client.watcher.refresh()
    answer = client.recommend()
    assert answer.json()["meta"]["rules_version"] == version
    assert answer.warning_codes == ["SERVING_LAST_KNOWN_GOOD"]
    assert "rules" in answer.json()["warnings"][0]["detail"]


def test_a_surface_that_was_never_good_is_503_and_the_others_serve(client, tmp_path):
    publish(tmp_path, surface="cart")
    pointer = tmp_path / "registry" / "current" / "demo" / "cart" / "manifest.json"
    document = json.loads(pointer.read_bytes())
    document["artifacts"]["cooc"]["sha256"] = "0" * 64
    del document["version"]
    pointer.write_text(json.dumps(document))
    client.watcher.refresh()
    answer = client.recommend(surface="cart")
    assert (answer.status, answer.json()["code"]) == (503, "RECSYS_ARTIFACT_INCOMPATIBLE")
    assert client.recommend().status == 200
    assert client.get("/readyz").json()["status"] == "degraded"


def test_a_surface_appears_with_its_pointer_and_goes_with_it(client, tmp_path):
    publish(tmp_path, surface="cart")
    client.watcher.refresh()
    assert client.recommend(surface="cart").status == 200
    shutil.rmtree(tmp_path / "registry" / "current" / "demo" / "cart")
    client.watcher.refresh()
    assert client.recommend(surface="cart").json()["code"] == "RECSYS_CONFIG_NOT_FOUND"


def test_a_restart_without_the_registry_serves_from_the_cache(client, tmp_path):
    before = meta(client)
    client.close()
    (tmp_path / "registry").rename(tmp_path / "gone")
    (tmp_path / "registry").write_text("a file where the registry should be")
    again = Client(tmp_path)
    try:
        assert meta(again) | {"request_id": ""} == before | {"request_id": ""}
        registry = next(
            part for part in again.get("/readyz").json()["components"] if part["name"] == "registry"
        )
        assert not registry["ok"]
    finally:
        again.close()


def test_an_artifact_that_fails_is_not_fetched_again_at_every_look(client, tmp_path, monkeypatch):
    publish(tmp_path, surface="cart")
    asked = []

    def fetch(registry, manifest):
        asked.append(manifest.surface)
        raise _native_error()

    def _native_error():
        from recsys.contracts.errors import ArtifactError

        return ArtifactError("cart: broken")

    monkeypatch.setattr(client.watcher._releases._cache, "fetch", fetch)
    for _ in range(5):
        client.watcher.refresh()
    assert asked == ["cart"]


def test_a_suspended_tenant_is_403_and_comes_back(client):
    client.state.plane.set_tenant_state("demo", "suspended", actor="test")
    client.watcher.refresh()
    answer = client.recommend()
    assert (answer.status, answer.json()["code"]) == (403, "RECSYS_FORBIDDEN")
    client.state.plane.set_tenant_state("demo", "active", actor="test")
    client.watcher.refresh()
    assert client.recommend().status == 200


def test_the_same_request_gives_the_same_bytes_in_every_worker_and_after_a_restart(tmp_path):
    write_tenant(tmp_path, rules=BLOCK, config="[config.defaults]\nmmr_lambda = 0.5")
    request = {"x_request_id": "r-1"}
    bodies = set()
    for _ in range(2):
        client = Client(tmp_path)
        bodies |= {
            client.recommend(request, anchors={"item_ids": ["i00", "i01"]}, k=10).body for _ in range(3)
        }
        client.close()
    assert len(bodies) == 1


def test_rules_over_tags_are_resolved_without_reading_items_in_python(client, monkeypatch):
    rules = [{"rule_id": "t", "action": "BLOCK", "target_type": "TAG", "target_key": "odd"}]
    monkeypatch.delattr(_native.Catalog, "item_at", raising=False)
    put_rules(client, rules)
    client.watcher.refresh()
    assert all(int(item[1:]) % 2 == 0 for item in client.recommend().item_ids)


@pytest.mark.parametrize("n_changes", [30])
def test_no_response_names_a_version_that_did_not_rank_it(client, n_changes):
    """Each rules version blocks an item of its own, so a list tells which version ranked it."""
    client.watcher.start()
    blocked = {}
    for number in range(3):
        rules = [BLOCK[0] | {"target_key": f"i0{number}"}]
        blocked[put_rules(client, rules)] = f"i0{number}"
    versions = list(blocked)
    seen = set()
    for number in range(n_changes):
        client.state.plane.roll_back("demo", "rules", author="test", to=versions[number % 3])
        deadline = time.monotonic() + 0.15
        while time.monotonic() < deadline:
            answer = client.recommend(k=10)
            assert answer.status == 200
            version = answer.json()["meta"]["rules_version"]
            if version in blocked:
                seen.add(version)
                assert blocked[version] not in answer.item_ids
                assert {item for item in blocked.values() if item != blocked[version]} <= set(answer.item_ids)
    assert seen == set(versions)


def test_a_tenant_made_by_another_process_is_served(client, tmp_path):
    folder = tmp_path / "elsewhere"
    plane = ControlPlane.open(folder)
    plane.create_tenant("demo", actor="test")
    plane.close()
    view = msgspec.json.decode(client.get("/version").body)
    assert list(view["snapshots"]) == ["demo/home"]
    client.state.plane.create_tenant("new", actor="test")
    client.watcher.refresh()
    assert client.recommend({"x_org_id": "new"}).json()["code"] == "RECSYS_CONFIG_NOT_FOUND"


def test_a_store_that_is_down_stops_changes_and_not_serving(client, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise StoreUnavailableError("the database does not answer")

    for method in ("wait_for_change", "update", "read"):
        monkeypatch.setattr(client.state.plane._store, method, fail)
    client.watcher.start()
    _wait_for(lambda: client.watcher.store_error is not None)
    assert client.recommend().status == 200
    ready = client.get("/readyz")
    assert (ready.status, ready.json()["status"]) == (200, "degraded")
    assert "the database does not answer" in ready.body.decode()
    changed = client.send("PUT", "/v1/admin/tenants/demo/rules", b"[]", content_type="application/json")
    assert (changed.status, changed.json()["code"]) == (503, "RECSYS_OVERLOADED")
    monkeypatch.undo()
    _wait_for(lambda: client.watcher.store_error is None)


def test_a_start_while_the_store_is_down_serves_the_view_that_was_kept(client, tmp_path, monkeypatch):
    kept = tmp_path / "view.json"
    client.watcher._kept_view = kept
    client.watcher.refresh()
    assert kept.stat().st_mode & 0o077 == 0
    before = meta(client)

    def fail(*_: object) -> None:
        raise StoreUnavailableError("the database does not answer")

    state = client.state
    logs = Logs(state.exposures, state.assignments, state.events, state.recent, tmp_path)
    fresh = State(client.state.plane, client.state.registry, logs)
    monkeypatch.setattr(client.state.plane, "serving_view", fail)
    monkeypatch.setattr(client.state.plane, "read", fail)
    Watcher(fresh, client.watcher._releases, client.watcher._fresh, kept).refresh()
    client.app = App(fresh, client.watcher, DevelopmentAuthenticator("demo"))
    assert meta(client) | {"request_id": ""} == before | {"request_id": ""}
    empty = State(client.state.plane, client.state.registry, logs)
    without = Watcher(empty, client.watcher._releases, client.watcher._fresh, tmp_path / "none.json")
    with pytest.raises(StoreUnavailableError):
        without.refresh()
