"""Pages of a list: disjoint, in order, and of the list that the first one began."""

import json
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.service.conftest import Answer, Client

from recsys.contracts.http import FIRST_PAGE


def pages_of(client: Client, **fields: object) -> list[Answer]:
    token, pages = FIRST_PAGE, []
    while token is not None:
        pages.append(client.recommend(page=token, **fields))
        assert pages[-1].status == 200, pages[-1].body
        token = pages[-1].json()["meta"].get("next_page")
    return pages


CONFIGS = {
    "plain": "",
    "mmr": "[config.defaults]\nmmr_lambda = 0.5\n",
    "caps": "[config.defaults]\nbrand_cap = 3\n",
    "seen": '[config.defaults.seen]\naction = "drop"\nmin_shown = 1\n',
    "damped": '[config.defaults.seen]\naction = "damp"\nmin_shown = 1\n',
}


@pytest.mark.parametrize("config", CONFIGS)
def test_pages_are_the_parts_of_one_list(make_client, config):
    client = make_client(config=CONFIGS[config])
    asked = {"k": 4, "context": {}, "anchors": {"item_ids": ["i00"]}}
    whole = client.recommend(**asked | {"k": 50, "user": {"user_id": "another"}}).json()["items"]
    pages = pages_of(client, **asked)
    assert len(pages) > 3
    items = [item for page in pages for item in page.json()["items"]]
    assert items == whole
    assert [item["rank"] for item in items] == list(range(1, len(items) + 1))
    assert all(len(page.item_ids) == 4 for page in pages[:-1])
    exposed = [item["rank"] for line in client.exposures()[1:] for item in line["items"]]
    assert exposed == list(range(1, len(items) + 1))


def test_a_list_without_pages_is_as_it_was(client):
    assert "next_page" not in client.recommend(k=2).json()["meta"]


def test_the_last_page_has_no_next_one_though_it_is_full(client):
    n_items = len(client.recommend(k=200).item_ids)
    answer = client.recommend(k=n_items, page=FIRST_PAGE)
    assert len(answer.item_ids) == n_items
    assert "next_page" not in answer.json()["meta"]


def test_explained_pages_have_the_token_and_the_ranks(client):
    token = client.recommend(k=2, page=FIRST_PAGE, options={"explain": "summary"}).json()["meta"]["next_page"]
    answer = client.recommend(k=2, page=token, options={"explain": "summary"}).json()
    assert [item["rank"] for item in answer["items"]] == [3, 4]
    assert answer["meta"]["next_page"]


def test_similar_has_pages(client):
    token = client.similar("i00", page=FIRST_PAGE).json()["meta"]["next_page"]
    first, second = client.similar("i00").item_ids, client.similar("i00", page=token).item_ids
    assert len(second) == 5
    assert not set(first) & set(second)


@pytest.mark.parametrize(
    "changed",
    [{"k": 3}, {"user": {"user_id": "v"}}, {"anchors": {"item_ids": ["i01"]}}, {"segment": "vip"}],
)
def test_a_token_of_another_request_is_refused(client, changed):
    token = client.recommend(k=2, page=FIRST_PAGE).json()["meta"]["next_page"]
    answer = client.recommend(**{"k": 2, "page": token} | changed)
    assert (answer.status, answer.json()["code"]) == (400, "RECSYS_INVALID_REQUEST")
    assert answer.json()["detail"].startswith("page: belongs to another request")


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_token_that_was_changed_is_refused(client, data):
    token = client.recommend(k=2, page=FIRST_PAGE).json()["meta"]["next_page"]
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters(codec="utf-8") | st.sampled_from("ABCDwxyz-_="))
    changed = data.draw(
        st.sampled_from([token[:at] + other + token[at + 1 :], token[:at], token + other])
        | st.text(min_size=1)
    )
    if changed in (token, FIRST_PAGE, ""):
        return
    assert client.recommend(k=2, page=changed).status == 400


def test_a_token_of_another_tenants_salt_is_refused(client, make_client):
    client.recommend()
    token = client.recommend(k=2, page=FIRST_PAGE).json()["meta"]["next_page"]
    tenant = client.state.tenants["demo"]
    client.state.tenants = {"demo": msgspec.structs.replace(tenant, salt=b"another")}
    assert client.recommend(k=2, page=token).status == 400


def test_a_token_of_replaced_rules_is_told_to_begin_again(client):
    token = client.recommend(k=2, page=FIRST_PAGE).json()["meta"]["next_page"]
    block = [{"rule_id": "b", "action": "BLOCK", "target_type": "ITEM", "item_ids": ["i05"]}]
    path = "/v1/admin/tenants/demo/rules"
    assert client.send("PUT", path, json.dumps(block).encode(), content_type="application/json").status == 200
    client.watcher.refresh()
    answer = client.recommend(k=2, page=token)
    assert (answer.status, answer.json()["code"]) == (409, "RECSYS_VERSION_MISMATCH")


def test_a_rule_whose_window_begins_between_two_pages_ends_the_list(make_client, monkeypatch):
    starts = "2030-01-01T00:00:00Z"
    block = {
        "rule_id": "b",
        "action": "BLOCK",
        "target_type": "ITEM",
        "item_ids": ["i05"],
        "valid_from": starts,
    }
    client = make_client(rules=[block])
    asked = {"k": 2, "context": {}}
    token = client.recommend(page=FIRST_PAGE, **asked).json()["meta"]["next_page"]
    assert client.recommend(page=token, **asked).status == 200

    class Later(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime(2031, 1, 1, tzinfo=tz or UTC)

    monkeypatch.setattr("recsys.service.queries.datetime", Later)
    assert client.recommend(page=token, **asked).status == 409


def test_what_expires_between_two_pages_is_left_out(client, monkeypatch):
    # i29 expired in 2023; by the clock of a first page before that, it is in the list.
    asked = {"k": 25, "context": {}}
    early = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)

    class Early(datetime):
        @classmethod
        def now(cls, tz=None):
            return early.astimezone(tz)

    monkeypatch.setattr("recsys.service.queries.datetime", Early)
    token = client.recommend(page=FIRST_PAGE, **asked).json()["meta"]["next_page"]
    monkeypatch.setattr("recsys.service.list_ranking.time.time", early.timestamp)
    assert "i29" in client.recommend(page=token, **asked).item_ids
    monkeypatch.undo()
    rest = client.recommend(page=token, **asked).item_ids
    assert rest
    assert "i29" not in rest


def test_a_list_of_a_batch_has_no_pages(client):
    one = {"surface": "home", "user": {"user_id": "u"}, "page": FIRST_PAGE}
    answer = client.post("/v1/recommend/batch", {"requests": [one]})
    assert answer.status == 400
    assert answer.json()["detail"] == "requests[0].page: a list of a batch has no pages"


def test_an_explored_list_has_one_page(make_client):
    client = make_client(config='[config.defaults.exploration]\nmethod = "epsilon_swaps"\n')
    assert "next_page" not in client.recommend(k=2, page=FIRST_PAGE).json()["meta"]
