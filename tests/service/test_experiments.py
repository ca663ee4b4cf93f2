"""Experiments in the service: the arm ranks, is told and logged; exploration and interleaving are exact."""

from __future__ import annotations

import json
import time
from collections import Counter
from datetime import UTC, datetime

import pytest

from recsys.contracts.config import Exploration
from recsys.contracts.pseudonym import pseudonym
from recsys.control import experiments
from recsys.control.principals import Principal
from recsys.eventlog.layout import live_parts
from recsys.experiments.exploration import list_propensities
from recsys.service.auth import DevelopmentAuthenticator

POPULAR = [f"i{number:02}" for number in range(5)]
USERS = [f"u{number}" for number in range(40)]


@pytest.fixture
def service(make_client):
    """A service whose cooc arm answers anchors and whose control is popularity."""
    return make_client(config='[config.defaults]\nmode = "popularity"')


def run(client, arms: list[dict], **fields: object) -> None:
    """Create and start an experiment, and let the worker know."""
    value = {
        "id": "e",
        "surface": "home",
        "arms": arms,
        "primary_metric": {"name": "ctr"},
        "guardrails": [{"metric": "empty_list_rate", "margin": 0.01}],
        "rollback": {"to": "current"},
    }
    plane = client.state.plane
    experiments.create_experiment(plane, "demo", value | fields, author="test")
    experiments.start_experiment(plane, "demo", "e", now=datetime(2025, 1, 1, tzinfo=UTC), author="test")
    client.watcher.refresh()


def ask(client, user: str = "u", **fields: object) -> dict:
    answer = client.recommend(user={"user_id": user}, anchors={"item_ids": ["i00"]}, **fields)
    assert answer.status == 200, answer.body
    return answer.json()


def variant(listed: dict) -> str | None:
    return listed["meta"].get("experiment", {}).get("variant")


def ids(listed: dict) -> list[str]:
    return [item["item_id"] for item in listed["items"]]


def assignments(client) -> list[dict]:
    parts = live_parts(client.data_dir / "logs" / "assignments")
    return [json.loads(line) for _, part in parts for line in part.read_text().splitlines()]


def test_the_arm_of_a_user_ranks_is_told_and_logged(service) -> None:
    run(service, [{"name": "control"}, {"name": "related", "mode": "cooc"}])
    lists = {user: ask(service, user) for user in USERS}
    assert {variant(one) for one in lists.values()} == {"control", "related"}
    for one in lists.values():
        assert ids(one)[0] == ("i05" if variant(one) == "related" else "i01")
    logged = {line["request_id"]: line for line in assignments(service)}
    for line, one in zip(service.exposures(), lists.values(), strict=True):
        context = line["context"]
        assert (context["experiment_id"], context["experiment_variant"]) == ("e", variant(one))
        assignment = logged[line["request_id"]]
        assert assignment["variant"] == variant(one)
        assert assignment["user_id"] == line["user_id"]
        assert assignment["context"] == {"tenant_id": "demo", "surface": "home"}
    again = {user: ask(service, user) for user in USERS}
    assert {user: variant(one) for user, one in again.items()} == {u: variant(o) for u, o in lists.items()}


def test_stop_and_kill_switch_take_the_arms_away_at_the_next_look_of_the_watcher(service) -> None:
    service.watcher.start()
    run(service, [{"name": "control"}, {"name": "related", "mode": "cooc"}])
    before = {user: variant(ask(service, user)) for user in USERS[:10]}
    experiments.set_kill_switch(service.state.plane, "demo", "e", on=True, author="test")
    deadline = time.monotonic() + 60
    while variant(ask(service, "u0")) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    experiments.set_kill_switch(service.state.plane, "demo", "e", on=False, author="test")
    service.watcher.refresh()
    assert {user: variant(ask(service, user)) for user in USERS[:10]} == before
    experiments.stop_experiment(service.state.plane, "demo", "e", now=datetime.now(UTC), author="test")
    service.watcher.refresh()
    assert variant(ask(service, "u0")) is None


def test_an_arm_follows_the_weights_of_each_request_and_the_rules_as_they_change(service) -> None:
    run(service, [{"name": "blend", "mode": "blend"}, {"name": "other", "mode": "blend"}])
    by_popularity, by_anchor = {"pop": 1.0, "cooc": 0.0}, {"pop": 0.0, "cooc": 1.0}
    usual = ids(ask(service))
    assert ids(ask(service, weights=by_popularity))[0] == "i01"
    assert ids(ask(service, weights=by_anchor))[0] == "i05"
    assert ids(ask(service)) == usual
    service.state.plane.put("demo", "rules", json.dumps([block(usual[0])]).encode(), author="test")
    service.watcher.refresh()
    assert usual[0] not in ids(ask(service))
    assert variant(ask(service)) is not None


def test_an_arm_ranks_by_the_versions_that_it_names(service) -> None:
    plane = service.state.plane
    old = plane.put("demo", "rules", json.dumps([block("i01")]).encode(), author="test").version
    plane.put("demo", "rules", b"[]", author="test")
    config = plane.put("demo", "config", b'{"defaults": {"mode": "cooc"}}', author="test").version
    plane.roll_back("demo", "config", author="test")
    arms = [{"name": "control"}, {"name": "blocked", "rules_version": old}]
    run(service, [*arms, {"name": "related", "config_version": config}])
    lists = [ask(service, user) for user in USERS]
    for one in lists:
        versions = one["meta"]["rules_version"], one["meta"]["config_version"]
        assert (versions[0] == old, versions[1] == config) == (
            variant(one) == "blocked",
            variant(one) == "related",
        )
        assert ("i01" not in ids(one)) == (variant(one) == "blocked")
        assert (ids(one)[0] == "i05") == (variant(one) == "related")
    assert len({variant(one) for one in lists}) == 3


def put_rules(client, *rules: dict) -> str:
    version = client.state.plane.put("demo", "rules", json.dumps(rules).encode(), author="test").version
    client.watcher.refresh()
    return version


def test_what_is_blocked_now_is_blocked_in_an_arm_with_older_rules_too(service) -> None:
    pin = {"rule_id": "pin", "action": "PIN", "target_type": "ITEM", "item_ids": ["i02", "i03"]}
    old = put_rules(service, block("i01"), pin)
    put_rules(service)
    run(service, [{"name": "control"}, {"name": "old", "rules_version": old}])
    user = next(user for user in USERS if variant(ask(service, user)) == "old")
    assert ids(ask(service, user))[:2] == ["i02", "i03"]
    for rules in ([block("i02")], [block("i02"), block("i04") | {"rule_id": "more"}]):
        now = put_rules(service, *rules)
        listed = ask(service, user, k=25)
        assert not {rule["target_key"] for rule in rules} & set(ids(listed))
        # The rest of the older rules is as it was.
        assert ids(listed)[0] == "i03"
        assert "i01" not in ids(listed)
        versions = listed["meta"], service.exposures()[-1]["context"]
        assert [(one["rules_version"], one["blocks_version"]) for one in versions] == [(old, now)] * 2
    assert "blocks_version" not in service.similar("i00").json()["meta"]
    # Where the surface has the same rules there is one version to name.
    service.state.plane.roll_back("demo", "rules", author="test", to=old)
    service.watcher.refresh()
    assert "blocks_version" not in ask(service, user)["meta"]


def test_what_is_blocked_now_is_in_no_list_that_is_interleaved_with_older_rules(service) -> None:
    old = put_rules(service)
    put_rules(service, block("i02"))
    arms = [{"name": "control"}, {"name": "old", "rules_version": old, "mode": "blend"}]
    run(service, arms, kind="interleaving")
    assert not any("i02" in ids(ask(service, user, k=25)) for user in USERS)


def test_a_list_of_an_arm_with_older_rules_is_the_same_with_reasons_and_without(service) -> None:
    old, now = put_rules(service), put_rules(service, block("i01"))
    run(service, [{"name": "a", "rules_version": old}, {"name": "b", "rules_version": old}])
    metas = [ask(service, options=options)["meta"] for options in ({}, {"include_reasons": True})]
    assert [list(meta) for meta in metas] == [list(metas[0])] * 2
    assert {(meta["rules_version"], meta["blocks_version"]) for meta in metas} == {(old, now)}


def test_a_block_of_now_ends_a_list_that_an_arm_was_paging_through(service) -> None:
    old = put_rules(service)
    put_rules(service, block("i09"))
    run(service, [{"name": "a", "rules_version": old}, {"name": "b", "rules_version": old}])
    token = ask(service, page="first")["meta"]["next_page"]
    put_rules(service, block("i08"))
    answer = service.recommend(page=token, anchors={"item_ids": ["i00"]})
    assert (answer.status, answer.json()["code"]) == (409, "RECSYS_VERSION_MISMATCH")


def click(client, item: str, user: str = "u", request_id: str = "r") -> None:
    outcome = {
        "request_id": request_id,
        "user_id": user,
        "item_id": item,
        "event_type": "click",
        "ts": datetime.now(UTC).isoformat(),
    }
    assert client.post("/v1/events", {"outcomes": [outcome]}).json()["accepted"] == 1


@pytest.mark.parametrize("kind", ["split", "interleaving"])
def test_a_policy_on_seen_items_that_only_an_arm_has_remembers_what_was_shown_and_taken(
    service, kind: str
) -> None:
    plane = service.state.plane
    document = {"defaults": {"mode": "popularity", "seen": {"action": "drop", "min_shown": 2}}}
    config = plane.put("demo", "config", json.dumps(document).encode(), author="test").version
    plane.roll_back("demo", "config", author="test")
    run(service, [{"name": "control"}, {"name": "fresh", "config_version": config}], kind=kind)
    now = {"context": {}}
    firsts = {user: ask(service, user, **now) for user in USERS[:10]}
    user = next(user for user, one in firsts.items() if variant(one) != "control")
    taken = ids(ask(service, "somebody", experiment={"id": "e", "variant": "control"}, **now))[4]
    click(service, taken, user)
    arm = {"experiment": {"id": "e", "variant": "fresh"}} | now
    second = ids(ask(service, user, **arm))
    assert taken not in second
    twice = set(ids(firsts[user])) & set(second)
    assert twice
    assert not twice & set(ids(ask(service, user, **arm)))


def block(item: str) -> dict:
    return {"rule_id": "r", "action": "BLOCK", "target_type": "ITEM", "target_key": item}


def test_an_experiment_whose_version_is_gone_is_not_served_and_the_surface_is(service) -> None:
    run(service, [{"name": "control"}, {"name": "lost", "manifest_version": "0" * 64}])
    assert variant(ask(service)) is None


class Caller(DevelopmentAuthenticator):
    """Gives every request one role."""

    def __init__(self, role: str) -> None:
        self._principal = Principal("test", "demo", frozenset([role]))


@pytest.mark.parametrize(("role", "is_honoured"), [("service", True), ("viewer", False)])
def test_the_callers_variant_is_honoured_for_a_service_only(
    make_client, role: str, is_honoured: bool
) -> None:
    client = make_client(Caller(role))
    run(client, [{"name": "control"}, {"name": "related", "mode": "cooc"}])
    told = {variant(ask(client, user, experiment={"id": "e", "variant": "related"})) for user in USERS[:20]}
    assert told == ({"related"} if is_honoured else {"control", "related"})
    own = ask(client, experiment={"id": "their own", "variant": "blue"})
    assert variant(own) == ("blue" if is_honoured else None)


def test_a_named_experiment_without_variant_is_assigned_here_and_an_unknown_one_is_none(service) -> None:
    run(service, [{"name": "control"}, {"name": "related", "mode": "cooc"}])
    assert variant(ask(service, experiment={"id": "e"})) == variant(ask(service))
    assert variant(ask(service, experiment={"id": "unknown"})) is None


def test_a_tester_sees_the_forced_arm_and_is_no_observation(service) -> None:
    user = pseudonym(service.state.tenant("demo").salt, "tester")
    run(service, [{"name": "control"}, {"name": "related", "mode": "cooc"}], forced={user: "related"})
    assert variant(ask(service, "tester")) == "related"
    assert assignments(service) == []
    assert "experiment_id" not in service.exposures()[-1]["context"]


def test_users_outside_the_experiment_are_ranked_and_logged_without_it(service) -> None:
    run(service, [{"name": "control"}, {"name": "related", "mode": "cooc"}], segments=["vip"])
    assert variant(ask(service)) is None
    assert variant(ask(service, segment="vip")) is not None
    assert variant(service.similar("i00").json()) is None


EXPLORATION = {"method": "plackett_luce", "temperature": 0.5, "pool": 12, "fixed_prefix": 1}


def test_exploration_logs_the_propensity_of_each_item_and_repeats_for_a_seed(make_client) -> None:
    config = (
        f"[config.defaults]\nmode = 'popularity'\nexploration = {json.dumps(EXPLORATION).replace(':', '=')}"
    )
    client = make_client(config=config)
    best = ids(client.recommend(k=12, user={"user_id": "u"}, options={"seed": 0}).json())
    ranking = client.recommend(k=12, weights=None, options={"seed": 1}).json()
    scores = {item["item_id"]: item["score"] for item in ranking["items"]}
    order = sorted(scores, key=lambda item: -scores[item])
    assert set(order) == set(best)
    for number in range(20):
        listed = client.recommend(k=5, options={"seed": number}).json()
        shown = [order.index(item) for item in ids(listed)]
        exposed = client.exposures()[-1]["items"]
        assert [item["item_id"] for item in exposed] == ids(listed)
        expected = list_propensities(Exploration(**EXPLORATION), [scores[item] for item in order], shown)
        assert [item["propensity"] for item in exposed] == pytest.approx(expected)
        assert listed["items"] == client.recommend(k=5, options={"seed": number}).json()["items"]
    first = client.recommend(headers={"x_request_id": "same"}).json()
    assert first == client.recommend(headers={"x_request_id": "same"}).json()


def test_a_target_logs_the_chances_that_another_ranking_would_have_given(make_client) -> None:
    target = {"method": "plackett_luce", "temperature": 0.5, "pool": 8, "target": {"mode": "cooc"}}
    document = {"defaults": {"mode": "popularity", "exploration": target}}
    client = make_client()
    plane = client.state.plane
    asked = {"anchors": {"item_ids": ["i00"]}, "candidates": {"include_ids": ["i03", "i05", "i07", "i08"]}}
    plane.put("demo", "config", b'{"defaults": {"mode": "cooc"}}', author="test")
    client.watcher.refresh()
    ranking = client.recommend(k=8, **asked).json()["items"]
    plane.put("demo", "config", json.dumps(document).encode(), author="test")
    client.watcher.refresh()
    order, scores = [item["item_id"] for item in ranking], [item["score"] for item in ranking]
    assert order == ["i05", "i07", "i03", "i08"]
    policy = Exploration(method="plackett_luce", temperature=0.5, pool=8)
    for number in range(20):
        listed = ids(client.recommend(k=3, options={"seed": number}, **asked).json())
        exposed = client.exposures()[-1]["items"]
        expected = list_propensities(policy, scores, [order.index(item) for item in listed])
        assert [item["target_propensity"] for item in exposed] == pytest.approx(expected)
        assert all(0 < item["propensity"] <= 1 for item in exposed)


def test_pinned_items_are_not_explored(make_client) -> None:
    pin = {"rule_id": "p", "action": "PIN", "target_type": "ITEM", "target_key": "i20"}
    config = "[config.defaults]\nexploration = {method = 'epsilon_swaps', epsilon = 1.0, pool = 20}"
    client = make_client(config=config, rules=[pin])
    for number in range(10):
        listed = client.recommend(options={"seed": number, "include_reasons": True}).json()
        assert ids(listed)[0] == "i20"
        assert listed["items"][0]["reasons"] == ["popularity", "pin:p"]
        assert client.exposures()[-1]["items"][0]["propensity"] == 1.0


def test_an_interleaved_list_credits_each_item_to_its_team(service) -> None:
    run(
        service,
        [{"name": "control", "mode": "popularity"}, {"name": "related", "mode": "cooc"}],
        kind="interleaving",
    )
    lists = {
        name: ids(ask(service, k=5, experiment={"id": "e", "variant": name}))
        for name in ("control", "related")
    }
    first = Counter()
    for user in USERS:
        listed = ask(service, user)
        assert variant(listed) == "interleaved"
        exposed = service.exposures()[-1]["items"]
        assert [item["item_id"] for item in exposed] == ids(listed)
        teams = Counter(item["team"] for item in exposed)
        assert abs(teams["a"] - teams["b"]) <= 1
        for item in exposed:
            assert item["item_id"] in lists["control" if item["team"] == "a" else "related"]
        first[exposed[0]["team"]] += 1
    assert min(first["a"], first["b"]) > 5


def test_items_of_the_session_are_anchors_of_its_next_request(make_client) -> None:
    config = '[config.defaults]\nmode = "cooc"\nsession_anchors = {max_items = 3, ttl_minutes = 30}'
    client = make_client(config=config)
    before = client.recommend(user={"session_id": "s"}, k=3)
    assert ids(before.json())[0] == "i00"
    click = {
        "request_id": before.json()["meta"]["request_id"],
        "user_id": "s",
        "item_id": "i00",
        "event_type": "click",
        "ts": datetime.now(UTC).isoformat(),
    }
    client.post("/v1/events", {"outcomes": [click]})
    after = client.recommend(user={"session_id": "s"}, k=3)
    assert ids(after.json()) == ["i05", "i07", "i03"]
    assert ids(client.recommend(user={"session_id": "other"}, k=3).json()) == ids(before.json())


def test_a_page_keeps_the_session_of_the_first_one(make_client) -> None:
    config = '[config.defaults]\nmode = "cooc"\nsession_anchors = {max_items = 3, ttl_minutes = 30}'
    client = make_client(config=config)
    click(client, "i00")
    asked = {"context": {}, "k": 2, "page": "first"}
    first = client.recommend(**asked).json()
    assert ids(first) == ["i05", "i07"]
    click(client, "i01", request_id="another")
    second = client.recommend(**asked | {"page": first["meta"]["next_page"]}).json()
    assert ids(second)[0] == "i03"
    assert ids(client.recommend(**asked | {"k": 3}).json()) == ["i05", "i07", "i08"]


ADMIN = "/v1/admin/tenants/demo"
DRAFT = {
    "id": "e",
    "surface": "home",
    "arms": [{"name": "control"}, {"name": "related", "mode": "cooc"}],
    "primary_metric": {"name": "ctr"},
    "guardrails": [{"metric": "error_rate", "margin": 0.01}],
}


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"", 400, "experiment: it is empty; give a JSON document"),
        (b" \n", 400, "experiment: it is empty; give a JSON document"),
        (b"{", 400, "experiment: not JSON: Input data was truncated"),
        (b"{}", 422, "experiments[0]: Object missing required field `id`"),
        (b"[]", 422, "experiments[0]: Expected `object`, got `array`"),
    ],
)
def test_a_body_that_is_no_experiment_is_told_what_it_lacks(service, body, status, said) -> None:
    answer = service.send("POST", f"{ADMIN}/experiments", body, content_type="application/json")
    assert (answer.status, answer.json()["detail"]) == (status, said)


def test_an_experiment_is_run_over_http(service) -> None:
    assert service.post(f"{ADMIN}/experiments", DRAFT).status == 200
    refused = service.post(f"{ADMIN}/experiments/e/start", {})
    assert (refused.status, refused.json()["code"]) == (422, "RECSYS_UNPROCESSABLE_ENTITY")
    assert "e.rollback" in refused.json()["detail"]
    document = service.get(f"{ADMIN}/experiments").json()
    document["experiments"][0]["rollback"] = {"to": "current"}
    body = json.dumps(document).encode()
    put = service.send("PUT", f"{ADMIN}/experiments", body, content_type="application/json")
    assert put.status == 200
    for action, told in (
        ("start", True),
        ("kill", False),
        ("resume", True),
        ("ramp", False),
        ("rollback", False),
    ):
        change = {"traffic_share": 0.0} if action == "ramp" else {"comment": "try"}
        answer = service.post(f"{ADMIN}/experiments/e/{action}", change)
        assert answer.status == 200, answer.body
        service.watcher.refresh()
        assert (variant(ask(service)) is not None) == told, action
    again = service.post(f"{ADMIN}/experiments/e/start", {})
    assert again.status == 400
    assert "rolled_back" in again.json()["detail"]
    assert service.post(f"{ADMIN}/experiments/none/stop", {}).json()["code"] == "RECSYS_NOT_FOUND"


def test_a_batch_gives_lists_without_repeats_that_outcomes_can_join(service) -> None:
    one = {"surface": "home", "segment": "default", "k": 4, "user": {"user_id": "u"}}
    answer = service.post("/v1/recommend/batch", {"requests": [one, one, one]}, x_request_id="page")
    assert answer.status == 200, answer.body
    lists = answer.json()["lists"]
    items = [item for listed in lists for item in ids(listed)]
    assert items == [f"i{number:02}" for number in range(12)]
    assert [listed["meta"]["request_id"] for listed in lists] == ["page.1", "page.2", "page.3"]
    assert [line["request_id"] for line in service.exposures()] == ["page.1", "page.2", "page.3"]


def test_a_batch_with_a_wrong_request_is_refused_whole_and_names_it(service) -> None:
    good = {"surface": "home", "user": {"user_id": "u"}}
    answer = service.post("/v1/recommend/batch", {"requests": [good, good | {"surface": "none"}]})
    assert answer.status == 404
    assert answer.json()["detail"].startswith("requests[1]: ")
    assert service.exposures() == []
    assert service.post("/v1/recommend/batch", {"requests": []}).status == 400
    assert service.post("/v1/recommend/batch", {"requests": [good]}, x_request_id="x" * 128).status == 400
