"""Whatever asks for them, items that are excluded, blocked, hidden or expired are in no list."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.service.conftest import EXPIRED, ITEMS, NOW, UNAVAILABLE, Client

from recsys.control.plane import ControlPlane

TAGS = ["even", "odd"]
BRANDS = [f"b{number}" for number in range(5)]
CATEGORIES = [f"c{number}" for number in range(3)]
KEYS = {"ITEM": ITEMS, "TAG": TAGS, "BRAND": BRANDS, "CATEGORY": CATEGORIES}
USERS = [f"u{number}" for number in range(6)]
MODES = ["popularity", "cooc", "blend"]
DECIDED = {
    "primary_metric": {"name": "ctr"},
    "guardrails": [{"metric": "empty_list_rate", "margin": 0.01}],
    "rollback": {"to": "current"},
}
some_items = st.lists(st.sampled_from(ITEMS), max_size=6)


@st.composite
def rules(draw: st.DrawFn) -> list[dict]:
    """Rules that block some things, and pin and boost the same and others with any priority."""
    made = []
    for action in draw(st.lists(st.sampled_from(["BLOCK", "PIN", "BOOST"]), max_size=8)):
        # A blocked tag leaves half of the items, and two of them none.
        kinds = ["ITEM", "ITEM", "BRAND", "CATEGORY", "TAG"]
        target = draw(st.sampled_from(kinds))
        rule = {
            "rule_id": f"r{len(made)}",
            "action": action,
            "target_type": target,
            "target_key": draw(st.sampled_from(KEYS[target])),
            "priority": draw(st.integers(-2, 2)),
        }
        if action == "BOOST":
            rule["boost"] = draw(st.sampled_from([-1.0, 0.5, 1000.0]))
        if action == "PIN":
            rule["max_pins"] = draw(st.integers(0, 30))
        made.append(rule)
    return made


def is_target(rule: dict, number: int) -> bool:
    """Whether a rule is about an item of the catalog in ``conftest``."""
    labels = {
        "ITEM": ITEMS[number],
        "TAG": TAGS[number % 2],
        "BRAND": BRANDS[number % 5],
        "CATEGORY": CATEGORIES[number % 3],
    }
    return labels[rule["target_type"]] == rule["target_key"]


def blocked_by(document: list[dict]) -> set[str]:
    blocks = [rule for rule in document if rule["action"] == "BLOCK"]
    return {item for number, item in enumerate(ITEMS) if any(is_target(rule, number) for rule in blocks)}


EXPLORATIONS = st.sampled_from(
    [
        {"method": "plackett_luce", "temperature": 100.0, "pool": 30},
        {"method": "epsilon_swaps", "epsilon": 1.0, "pool": 30},
    ]
)


@st.composite
def arms(draw: st.DrawFn) -> dict:
    """An experiment in which everybody takes part: arms that explore, or two that are interleaved."""
    kind = draw(st.sampled_from(["split", "interleaving"]))
    listed: list[dict] = [{"name": "control"}, {"name": "other", "mode": draw(st.sampled_from(MODES))}]
    if kind == "split":
        listed.append({"name": "explores", "exploration": draw(EXPLORATIONS)})
    return {
        "id": "e",
        "surface": "home",
        "kind": kind,
        "arms": listed,
        **DECIDED,
    }


@st.composite
def configs(draw: st.DrawFn) -> dict:
    defaults = {
        "mode": draw(st.sampled_from(MODES)),
        "mmr_lambda": draw(st.sampled_from([None, 0.0, 0.5])),
        "brand_cap": draw(st.sampled_from([None, 2])),
        "seen": {"action": draw(st.sampled_from(["keep", "drop", "damp"])), "min_shown": 1},
        "session_anchors": {} if draw(st.booleans()) else None,
    }
    return {"defaults": {name: value for name, value in defaults.items() if value is not None}}


@st.composite
def requests(draw: st.DrawFn) -> dict:
    return {
        "k": draw(st.sampled_from([1, 4, 30])),
        "anchors": {"item_ids": draw(some_items)},
        "candidates": {
            "exclude_ids": draw(some_items),
            **({"include_ids": ITEMS[draw(st.integers(0, 20)) :]} if draw(st.booleans()) else {}),
        },
        "constraints": {"max_per_tag": draw(st.sampled_from([{}, {"even": 1}, {"odd": 0, "even": 3}]))},
        "options": {"seed": draw(st.integers(0, 9)), "explain": draw(st.sampled_from(["none", "full"]))},
    }


@pytest.fixture(scope="module")
def service(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("authority")
    shutil.copytree(template, folder, dirs_exist_ok=True)
    made = Client(folder)
    yield made
    made.close()


def configure(service: Client, config: dict, document: list[dict], experiment: dict | None) -> None:
    plane: ControlPlane = service.state.plane
    held = {"experiments": [experiment]} if experiment else {"experiments": []}
    if experiment:
        experiment |= {"state": "running", "started_at": "2025-01-01T00:00:00Z"}
    for kind, value in (("config", config), ("rules", document), ("experiments", held)):
        plane.put("demo", kind, json.dumps(value).encode(), author="test")  # type: ignore[arg-type]
    service.watcher.refresh()


def asked(request: dict, user: str) -> dict:
    base = {"surface": "home", "segment": "default", "user": {"user_id": user}, "context": {"now": NOW}}
    return base | request


def lists_of(service: Client, request: dict) -> Iterator[tuple[list[str], list[str]]]:
    """Ask for one request on every path; yield the item ids of each list, and its anchors.

    Pages make one list.
    """
    anchors = request["anchors"]["item_ids"]
    for user in USERS:
        yield checked(service.post("/v1/recommend", asked(request, user))), anchors
    batch = service.post("/v1/recommend/batch", {"requests": [asked(request, user) for user in USERS]})
    assert batch.status == 200, batch.body
    shown = [[item["item_id"] for item in one["items"]] for one in batch.json()["lists"]]
    assert max(Counter(item for listed in shown for item in listed).values(), default=1) == 1
    yield from ((listed, anchors) for listed in shown)
    rest = {name: value for name, value in request.items() if name != "anchors"}
    for item_id in anchors[:1]:
        body = {"surface": "home", "segment": "default", "item_id": item_id, "context": {"now": NOW}} | rest
        yield checked(service.post("/v1/similar", body)), [item_id]
    token: str | None = "first"
    pages: list[str] = []
    while token is not None:
        answer = service.post("/v1/recommend", asked(request, USERS[0]) | {"page": token})
        pages += checked(answer)
        token = answer.json()["meta"].get("next_page")
    assert len(pages) == len(set(pages))
    yield pages, anchors


def checked(answer) -> list[str]:
    assert answer.status == 200, answer.body
    assert len(answer.item_ids) == len(set(answer.item_ids))
    return answer.item_ids


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    config=configs(),
    document=rules(),
    experiment=st.none() | arms(),
    request_=requests(),
)
def test_nothing_brings_back_what_may_not_be_shown(
    service: Client, config: dict, document: list[dict], experiment: dict | None, request_: dict
) -> None:
    configure(service, config, document, experiment)
    candidates, most = request_["candidates"], request_["constraints"]["max_per_tag"]
    allowed = set(candidates.get("include_ids", ITEMS)) - {UNAVAILABLE, EXPIRED}
    allowed -= blocked_by(document) | set(candidates["exclude_ids"])
    has_pins = any(rule["action"] == "PIN" for rule in document)
    brand_cap = None if has_pins else config["defaults"].get("brand_cap")  # a pin is under no cap
    for listed, anchors in lists_of(service, request_):
        assert set(listed) <= allowed - set(anchors)
        numbers = [int(item_id[1:]) for item_id in listed]
        tags, brands = Counter(TAGS[one % 2] for one in numbers), Counter(one % 5 for one in numbers)
        assert all(tags[tag] <= limit for tag, limit in most.items())
        assert brand_cap is None or max(brands.values(), default=0) <= brand_cap


def test_an_interleaved_list_keeps_the_limits_of_its_request_and_is_full(service: Client) -> None:
    experiment = {
        "id": "e",
        "surface": "home",
        "kind": "interleaving",
        "arms": [{"name": "control"}, {"name": "other", "mode": "cooc"}],
        **DECIDED,
    }
    configure(service, {"defaults": {"mode": "popularity", "brand_cap": 2}}, [], experiment)
    for seed in range(10):
        request = {
            "k": 7,
            "anchors": {"item_ids": ["i01"]},
            "constraints": {"max_per_tag": {"even": 1}},
            "options": {"seed": seed},
        }
        answer = service.post("/v1/recommend", asked(request, "u"))
        numbers = [int(item_id[1:]) for item_id in answer.item_ids]
        assert answer.json()["meta"]["experiment"]["variant"] == "interleaved"
        assert len(numbers) == 7
        assert sum(number % 2 == 0 for number in numbers) <= 1
        assert max(Counter(number % 5 for number in numbers).values()) <= 2
