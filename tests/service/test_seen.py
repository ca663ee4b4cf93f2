"""Items that a user saw lately are dropped or damped, on every path, and forgotten when the user is."""

import json
from datetime import UTC, datetime

import pytest
from tests.service.conftest import EXPIRED, UNAVAILABLE, Answer, Client

from recsys.contracts.pseudonym import pseudonym


def policy(action: str, **settings: float) -> str:
    said = "".join(f"{name} = {value}\n" for name, value in settings.items())
    return f'[config.defaults]\nmode = "popularity"\n[config.defaults.seen]\naction = "{action}"\n{said}'


def buy(client: Client, item: str, *, user: str = "u") -> None:
    outcome = {
        "request_id": "r",
        "user_id": user,
        "item_id": item,
        "event_type": "conversion",
        "ts": datetime.now(UTC).isoformat(),
    }
    assert client.post("/v1/events", {"outcomes": [outcome]}).json()["accepted"] == 1


def recommend(client: Client, **fields: object) -> Answer:
    return client.recommend(**{"context": {}} | fields)


def history(client: Client) -> bool:
    return (client.data_dir / "cache" / "seen").exists()


def test_nothing_is_remembered_without_a_policy(client):
    assert recommend(client).item_ids == recommend(client).item_ids
    buy(client, "i00")
    assert not history(client)


def test_what_was_shown_often_enough_is_dropped_on_rungs_too(make_client):
    client = make_client(config=policy("drop", min_shown=2))
    first, second, third = (recommend(client, k=5) for _ in range(3))
    assert first.item_ids == second.item_ids
    assert not set(third.item_ids) & set(first.item_ids)
    assert len(third.item_ids) == 5
    everything = [item for _ in range(20) for item in recommend(client, k=5).item_ids]
    assert max(everything.count(item) for item in everything) <= 2
    last = recommend(client, k=5, options={"explain": "full"}).json()
    assert last["items"] == []
    assert last["meta"]["counts"]["filtered.seen"] > 5
    assert {"filter": "seen"}.items() <= last["meta"]["filtered"][0].items()
    assert recommend(client, k=5, user={"user_id": "another"}).item_ids == first.item_ids


def test_what_was_taken_is_dropped_and_a_later_policy_brings_it_back(make_client):
    client = make_client(config=policy("drop", min_shown=100))
    before = recommend(client, k=5).item_ids
    buy(client, before[0])
    assert before[0] not in recommend(client, k=5).item_ids
    assert before[0] in recommend(client, k=5, user={"user_id": "another"}).item_ids
    later = datetime.now(UTC).timestamp() + 25 * 3600
    after = recommend(client, k=5, context={"now": datetime.fromtimestamp(later, UTC).isoformat()})
    assert before[0] in after.item_ids


def test_what_was_seen_is_damped_and_the_reason_says_so(make_client):
    client = make_client(config=policy("damp", min_shown=100, damping=0.001))
    options = {"include_reasons": True, "explain": "summary"}
    before = recommend(client, k=50, options=options).json()["items"]
    buy(client, before[0]["item_id"])
    after = recommend(client, k=50, options=options).json()["items"]
    assert {item["item_id"] for item in after} == {item["item_id"] for item in before}
    assert after[0]["item_id"] == before[1]["item_id"]
    (damped,) = (item for item in after if item["item_id"] == before[0]["item_id"])
    assert damped["reasons"][-1] == "seen"
    assert damped["explain"]["damping"] == 0.001
    assert damped["score"] == before[0]["score"] * 0.001


def test_a_pin_stands_though_it_was_seen(make_client):
    pin = {"rule_id": "p", "action": "PIN", "target_type": "ITEM", "item_ids": ["i05"]}
    client = make_client(config=policy("drop", min_shown=1), rules=[pin])
    lists = [recommend(client, k=3).item_ids for _ in range(3)]
    assert [items[0] for items in lists] == ["i05"] * 3
    assert not set(lists[0][1:]) & set(lists[1][1:])


def test_exposures_of_clients_count_where_they_name_the_surface(make_client):
    client = make_client(config=policy("drop", min_shown=1))
    best = recommend(client, k=3, user={"user_id": "another"}).item_ids
    for item, context in ((best[0], {"surface": "home"}), (best[1], {"surface": "other"}), (best[2], {})):
        exposure = {
            "request_id": f"r-{item}",
            "user_id": "u",
            "ts": datetime.now(UTC).isoformat(),
            "items": [{"item_id": item, "rank": 1}],
            "context": context,
        }
        client.post("/v1/events", {"exposures": [exposure]})
    assert recommend(client, k=3).item_ids[:2] == best[1:]


def test_similar_lists_and_previews_leave_no_history(make_client):
    client = make_client(config=policy("drop", min_shown=1))
    client.similar(item_id="i01")
    client.post(
        "/v1/admin/tenants/demo/rules/preview",
        {"rules": [], "request": {"surface": "home", "user": {"user_id": "u"}}},
    )
    assert not history(client)


def test_a_user_who_is_erased_has_seen_nothing(make_client):
    client = make_client(config=policy("drop", min_shown=1))
    first = recommend(client, k=3).item_ids
    user = pseudonym(client.state.tenant("demo").salt, "u")
    assert client.send("DELETE", f"/v1/admin/tenants/demo/users/{user}").status == 200
    assert recommend(client, k=3).item_ids == first


def test_a_window_too_long_to_be_kept_is_refused(make_client):
    client = make_client()
    document = {"defaults": {"seen": {"action": "drop", "window_hours": 721}}}
    answer = client.send(
        "PUT", "/v1/admin/tenants/demo/config", json.dumps(document).encode(), content_type="application/json"
    )
    assert answer.status == 400
    assert "window_hours" in answer.json()["detail"]


@pytest.mark.parametrize("path", ["rungs", "pins", "include", "similar"])
def test_hidden_and_expired_items_are_served_on_no_path(make_client, path):
    hidden = [UNAVAILABLE, EXPIRED]
    pins = [{"rule_id": "p", "action": "PIN", "target_type": "ITEM", "item_ids": hidden}]
    client = make_client(rules=pins if path == "pins" else None)
    if path == "similar":
        answers = [client.similar(item_id=f"i{n:02}", k=50) for n in range(5)]
    elif path == "include":
        answers = [recommend(client, candidates={"include_ids": [*hidden, "i01"]})]
    else:
        answers = [recommend(client, k=50)]
    for answer in answers:
        assert answer.item_ids
        assert not set(answer.item_ids) & set(hidden)
