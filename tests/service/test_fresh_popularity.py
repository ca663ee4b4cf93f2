"""Fresh popularity in the service: what users take ranks higher before the next release, and is told."""

from __future__ import annotations

import json
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.service.conftest import Answer, Client, publish, write_tenant
from tests.service.processes import serving
from tests.service.test_experiments import run, variant

from recsys.artifacts.cache import ArtifactCache
from recsys.artifacts.registry import open_registry
from recsys.contracts.pseudonym import pseudonym
from recsys.service.fresh_files import FreshFiles
from recsys.service.fresh_popularity import FreshPopularityRefresher
from recsys.service.releases import Releases

CONFIG = """
[config.defaults]
mode = "popularity"
[config.surfaces.home.fresh_popularity]
min_users = 2
half_life_hours = 1000
refresh_s = 60
weight = 10
"""
USERS = [f"u{number}" for number in range(20)]


class Refresher:
    """Refreshes the client's host by hand, a minute later each time."""

    def __init__(self, client: Client) -> None:
        self._client, self.now_s = client, time.time()
        folder = client.data_dir
        cache = ArtifactCache(folder / "cache" / "artifacts", 1 << 30)
        files = FreshFiles(folder / "cache" / "fresh")
        releases = Releases(open_registry(str(folder / "registry")), cache)
        self._refresher = FreshPopularityRefresher(
            client.state.plane, releases, files, folder / "logs", clock=lambda: self.now_s
        )
        client.watcher._fresh._clock = lambda: self.now_s

    def __call__(self) -> None:
        self.now_s += 60
        self._refresher.step()
        self._client.watcher.refresh()


def ask(client: Client, **fields: object) -> Answer:
    return client.recommend(**{"context": {}, "k": 3} | fields)


def take(client: Client, item: str, users: list[str] = USERS, segment: str = "default") -> None:
    outcomes = []
    for user in users:
        listed = ask(client, user={"user_id": user}, segment=segment, k=30).json()
        outcomes.append(
            {
                "request_id": listed["meta"]["request_id"],
                "user_id": user,
                "item_id": item,
                "event_type": "click",
                "ts": datetime.now(UTC).isoformat(),
            }
        )
    assert client.post("/v1/events", {"outcomes": outcomes}).json()["accepted"] == len(users)


def test_what_users_take_ranks_higher_is_named_and_logged(make_client) -> None:
    client = make_client(config=CONFIG)
    refresh = Refresher(client)
    refresh()
    assert "fresh_version" not in ask(client).json()["meta"]
    take(client, "i20")
    take(client, "i21", USERS[:1])
    refresh()
    answer = ask(client, options={"explain": "summary"})
    assert answer.item_ids[0] == "i20"
    (part,) = answer.json()["items"][0]["explain"]["contributions"]
    assert part["value"] == pytest.approx(80 + 200, rel=1e-3)
    version = answer.json()["meta"]["fresh_version"]
    assert client.exposures()[-1]["context"]["fresh_version"] == version
    assert client.get("/version").json()["snapshots"]["demo/home"]["fresh_version"] == version
    assert (client.data_dir / "cache" / "fresh" / "demo" / "home").is_dir()
    assert "i21" not in ask(client, k=5).item_ids


def test_a_segment_has_its_own_and_the_rungs_are_fresh_too(make_client) -> None:
    client = make_client(config=CONFIG)
    refresh = Refresher(client)
    take(client, "i24", segment="vip")
    refresh()
    assert ask(client, segment="vip").item_ids[0] == "i24"
    related = client.similar("i09", context={}, k=1)
    assert related.item_ids == ["i24"]


def test_it_is_off_unless_the_surface_says_so_and_goes_when_it_is_switched_off(make_client) -> None:
    client = make_client(config=CONFIG)
    refresh = Refresher(client)
    take(client, "i20")
    refresh()
    assert ask(client).item_ids[0] == "i20"
    client.state.plane.put("demo", "config", b'{"defaults": {"mode": "popularity"}}', author="test")
    client.watcher.refresh()
    assert ask(client).item_ids[0] == "i00"
    refresh()
    assert not list((client.data_dir / "cache" / "fresh").glob("*/*/*"))


def test_a_new_release_counts_anew_and_a_restart_forgets_nothing(make_client, tmp_path: Path) -> None:
    client = make_client(config=CONFIG)
    refresh = Refresher(client)
    take(client, "i20")
    refresh()
    before = ask(client).json()["meta"]
    publish(tmp_path, ("catalog", "popularity"))
    client.watcher.refresh()
    # What was made for another release does not stand in for this one's.
    assert ask(client).item_ids[0] == "i00"
    again = Refresher(client)
    again.now_s = refresh.now_s
    again()
    after = ask(client).json()["meta"]
    assert ask(client).item_ids[0] == "i20"
    assert after["manifest_version"] != before["manifest_version"]


def test_a_clock_that_is_set_back_stops_nothing(make_client) -> None:
    client = make_client(config=CONFIG)
    refresh = Refresher(client)
    refresh.now_s += 86_400
    refresh()
    refresh.now_s -= 86_400
    take(client, "i20")
    refresh()
    assert ask(client).item_ids[0] == "i20"


def test_what_nobody_refreshes_any_more_stops_to_count(make_client) -> None:
    client = make_client(config=CONFIG)
    refresh = Refresher(client)
    take(client, "i20")
    refresh()
    assert ask(client).item_ids[0] == "i20"
    refresh.now_s += 11 * 60
    client.watcher.refresh()
    assert ask(client).item_ids[0] == "i00"


def test_a_user_who_is_erased_does_not_count(make_client) -> None:
    client = make_client(config=CONFIG)
    refresh = Refresher(client)
    take(client, "i20", ["ann", "bob"])
    refresh()
    assert ask(client).json()["meta"]["fresh_version"]
    user = pseudonym(client.state.tenant("demo").salt, "ann")
    assert client.send("DELETE", f"/v1/admin/tenants/demo/users/{user}").status == 200
    refresh()
    assert "fresh_version" not in ask(client).json()["meta"]


def test_an_arm_alone_may_be_fresh(make_client) -> None:
    client = make_client(config='[config.defaults]\nmode = "popularity"')
    fresh = {"min_users": 2, "half_life_hours": 1000, "weight": 10}
    document = {"defaults": {"mode": "popularity"}, "surfaces": {"home": {"fresh_popularity": fresh}}}
    plane = client.state.plane
    config = plane.put("demo", "config", json.dumps(document).encode(), author="test").version
    plane.roll_back("demo", "config", author="test")
    run(client, [{"name": "control"}, {"name": "fresh", "config_version": config}])
    refresh = Refresher(client)
    take(client, "i20")
    refresh()
    lists = [ask(client, user={"user_id": user}) for user in USERS]
    assert {variant(one.json()) for one in lists} == {"control", "fresh"}
    for one in lists:
        is_fresh = variant(one.json()) == "fresh"
        assert (one.item_ids[0] == "i20") == is_fresh
        assert ("fresh_version" in one.json()["meta"]) == is_fresh
    later = ask(client, user={"user_id": "u0"}).json()
    refresh()
    assert variant(ask(client, user={"user_id": "u0"}).json()) == variant(later)


def test_a_page_of_a_list_that_was_refreshed_begins_again(make_client) -> None:
    client = make_client(config=CONFIG)
    refresh = Refresher(client)
    token = ask(client, page="first").json()["meta"]["next_page"]
    take(client, "i20")
    refresh()
    answer = ask(client, page=token)
    assert (answer.status, answer.json()["code"]) == (409, "RECSYS_VERSION_MISMATCH")


@pytest.mark.slow
def test_workers_of_a_host_serve_it_within_seconds(tmp_path: Path) -> None:
    write_tenant(tmp_path, config=CONFIG.replace("refresh_s = 60", "refresh_s = 5"))
    shutil.rmtree(tmp_path / "logs", ignore_errors=True)
    body = {"surface": "home", "segment": "default", "k": 3}
    with serving(tmp_path, "--dev", "--workers", "2") as server:
        for user in USERS[:5]:
            _, listed = server.ask("POST", "/v1/recommend", body | {"user": {"user_id": user}})
            outcome = {
                "request_id": listed["meta"]["request_id"],
                "user_id": user,
                "item_id": "i20",
                "event_type": "conversion",
                "ts": datetime.now(UTC).isoformat(),
            }
            server.ask("POST", "/v1/events", {"outcomes": [outcome]})
        deadline, streak = time.monotonic() + 60, 0
        while streak < 20:  # new connections go to either worker
            assert time.monotonic() < deadline
            _, listed = server.ask("POST", "/v1/recommend", body | {"user": {"user_id": "u"}})
            streak = streak + 1 if listed["items"][0]["item_id"] == "i20" else 0
            time.sleep(0.02)
