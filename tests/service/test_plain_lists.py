"""A list that is asked for plainly is the list that the full path makes, byte for byte."""

import itertools
import json

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from recsys.service.lists import Lists

from .conftest import ITEMS

PLAIN = {
    "surface": "home",
    "segment": "default",
    "k": 5,
    "user": {"user_id": "u"},
    "anchors": {"item_ids": ["i00", "i01"], "max_anchors": 1},
    "context": {"locale": 'de"AT', "device": "phone", "country": None},
    "candidates": {"exclude_ids": ["i05"], "include_ids": None},
    "constraints": {"required_tags": [], "forbidden_tags": ["odd"], "max_per_tag": {}},
    "options": {"include_reasons": False, "explain": "none", "include_trace": False, "seed": None},
    "weights": None,
    "experiment": None,
    "page": None,
}
CONFIG = """
[[config.segmentation]]
device = ["phone"]
segment = "vip"
[config.limits]
max_k = 50
"""
REQUEST_IDS = (f"r{number}" for number in itertools.count())

texts = st.sampled_from(
    [
        "u",
        "",
        "vip",
        "vip2",
        "phone",
        "a@b.cd",
        "+43 660 1234567",
        "é",
        "n" * 129,
        "n" * 257,
        "2026-01-01",
        "\n",
    ]
)
item_lists = st.lists(st.sampled_from([*ITEMS, "unknown", "", 'o"dd', "a@b.cd"]), max_size=6)
tags = st.lists(st.sampled_from(["odd", "even", "none", ""]), max_size=2)


def object_of(**members: st.SearchStrategy) -> st.SearchStrategy:
    return st.fixed_dictionaries({}, optional={name: st.none() | values for name, values in members.items()})


shared = {
    "segment": texts,
    "k": st.sampled_from([0, 1, 3, 5, 49, 50, 51, 200, 201, -1, 2.0, True]),
    "context": object_of(locale=texts, device=texts, country=texts, now=st.just("2026-01-31T12:00:00Z")),
    "candidates": object_of(exclude_ids=item_lists, include_ids=item_lists),
    "constraints": object_of(required_tags=tags, forbidden_tags=tags, max_per_tag=st.just({"odd": 1})),
    "options": object_of(
        include_reasons=st.booleans(), seed=st.just(1), explain=st.sampled_from(["none", "all"])
    ),
    "weights": st.just({"pop": 1.0}),
    "experiment": st.just({"id": "e", "variant": "b"}),
    "page": st.just("no token of ours"),
    "other": st.just(1),
}
surfaces = st.sampled_from(["home", "home", "home", "nowhere", "", None])
recommends = st.fixed_dictionaries(
    {"surface": surfaces, "user": object_of(user_id=texts, anonymous_id=texts, session_id=texts)},
    optional=shared | {"anchors": object_of(item_ids=item_lists, max_anchors=st.integers(0, 51))},
)
similars = st.fixed_dictionaries(
    {"surface": surfaces, "item_id": st.sampled_from(["i00", "i01", "i20", "unknown", "", "a@b.cd"])},
    optional=shared,
)


class Never:
    """Finds no request plain."""

    def recommend(self, request):
        return None

    similar = recommend


def lists_of(client):
    return client.app.router.find("POST", "/v1/recommend").route.handler.__self__


def answer(client, path, body, *, fully):
    """Return status and body of the answer, and the exposure without what tells the time."""
    lists, before = lists_of(client), len(client.exposures())
    usual = lists._plain
    lists._plain = Never() if fully else usual
    try:
        told = client.send("POST", path, body, content_type="application/json", x_request_id="the-same")
    finally:
        lists._plain = usual
    exposed = client.exposures()[before:]
    for exposure in exposed:
        assert exposure.pop("latency_ms") >= 0
        assert exposure.pop("ts")
    return told.status, told.body, exposed


@pytest.fixture
def quick_client(make_client):
    return make_client(config=CONFIG)


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_both_ways_give_the_same_answer_and_the_same_exposure(quick_client, data):
    path, bodies = data.draw(
        st.sampled_from(
            [("/v1/recommend", recommends), ("/v1/recommend", recommends), ("/v1/similar", similars)]
        )
    )
    body = json.dumps(data.draw(bodies), ensure_ascii=data.draw(st.booleans())).encode()
    assert answer(quick_client, path, body, fully=False) == answer(quick_client, path, body, fully=True)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.integers(0, 400),
    st.sampled_from([b"", b" ", b"}", b",", b'"k":5,', b"\\", b"\xff", b"\x00", b"null", b"1e3"]),
)
@example(0, b"\xef\xbb\xbf")
def test_both_ways_refuse_the_same_broken_bodies(quick_client, place, inserted):
    whole = json.dumps(PLAIN).encode()
    broken = whole[:place] + inserted + whole[place + len(inserted) :]
    assert answer(quick_client, "/v1/recommend", broken, fully=False) == answer(
        quick_client, "/v1/recommend", broken, fully=True
    )


@pytest.mark.parametrize(
    "members",
    [{}, {"segment": None}, {"k": None}, {"anchors": {}}, {"context": {}}, {"user": {"session_id": "s"}}],
)
def test_a_plain_request_takes_the_short_way(quick_client, monkeypatch, members):
    def fail(*_):
        raise AssertionError("not plain")

    monkeypatch.setattr(Lists, "make_query", fail)
    body = PLAIN | {"context": {"device": "phone"}} | members
    answered = quick_client.post("/v1/recommend", body)
    assert answered.status == 200
    assert answered.json()["meta"]["segment"] == ("vip" if members == {"segment": None} else "default")
    del body["user"], body["anchors"]
    assert quick_client.post("/v1/similar", body | {"item_id": "i00"}).item_ids


@pytest.mark.parametrize(
    "settings",
    [
        "[config.defaults.exploration]\nmethod = 'epsilon_swaps'\nepsilon = 0.5",
        "[config.defaults.seen]\naction = 'drop'",
        "[config.defaults.session_anchors]\nmax_items = 3",
    ],
)
def test_what_is_treated_further_takes_the_long_way(make_client, settings):
    client = make_client(config=settings)
    lists = lists_of(client)
    asked = []
    lists.make_query, make_query = lambda *args: asked.append(args) or make_query(*args), lists.make_query
    assert client.post("/v1/recommend", {"surface": "home", "user": {"user_id": "u"}}).status == 200
    assert len(asked) == 1
