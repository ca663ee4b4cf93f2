"""Event records: what a line needs, what it may have, and what is refused."""

import re

import msgspec
import pytest

from recsys.contracts.records import Assignment, Exposure, Interaction, Outcome, RankList

TS = "2026-01-31T12:00:00Z"
REQUEST = {"request_id": "r", "user_id": "u", "ts": TS}
MINIMAL = [
    (Exposure, REQUEST | {"items": []}),
    (Outcome, REQUEST | {"item_id": "i", "event_type": "click"}),
    (Assignment, REQUEST | {"experiment_id": "e", "variant": "A"}),
    (RankList, REQUEST | {"items": ["i", "j"]}),
    (Interaction, {"v": 1, "ts": TS, "tenant": "t", "surface": "s", "session_id": "x", "item_id": "i"}),
]


def decode(record, line):
    return msgspec.json.decode(msgspec.json.encode(line), type=record)


@pytest.mark.parametrize(("record", "line"), MINIMAL)
def test_the_required_fields_are_enough_and_come_back_unchanged(record, line):
    assert msgspec.json.decode(msgspec.json.encode(decode(record, line))) == line


@pytest.mark.parametrize(
    ("record", "line", "missing"), [(*case, name) for case in MINIMAL for name in case[1]]
)
def test_each_required_field_is_required(record, line, missing):
    with pytest.raises(msgspec.ValidationError, match=f"missing required field `{missing}`"):
        decode(record, {name: value for name, value in line.items() if name != missing})


@pytest.mark.parametrize(("record", "line"), MINIMAL)
def test_an_unknown_key_is_refused(record, line):
    with pytest.raises(msgspec.ValidationError, match="unknown field `extra`"):
        decode(record, line | {"extra": 1})


@pytest.mark.parametrize(("record", "line"), MINIMAL)
@pytest.mark.parametrize("ts", ["2026-01-31T12:00:00", "2026-01-31", "yesterday", 1_769_860_800])
def test_a_time_needs_a_zone(record, line, ts):
    with pytest.raises(msgspec.ValidationError, match=r"\$\.ts"):
        decode(record, line | {"ts": ts})


@pytest.mark.parametrize(("record", "line"), MINIMAL)
def test_an_id_is_not_empty(record, line):
    for name in line.keys() & {
        "request_id",
        "user_id",
        "item_id",
        "session_id",
        "tenant",
        "surface",
        "variant",
    }:
        with pytest.raises(msgspec.ValidationError, match=rf"length >= 1 - at `\$\.{name}`"):
            decode(record, line | {name: ""})


@pytest.mark.parametrize(
    ("record", "fields", "at"),
    [
        (Exposure, {"items": [{"item_id": "i", "rank": 0}]}, "items[0].rank"),
        (Exposure, {"items": [{"item_id": "", "rank": 1}]}, "items[0].item_id"),
        (Exposure, {"items": [{"item_id": "i", "rank": 1, "propensity": 1.1}]}, "items[0].propensity"),
        (
            Exposure,
            {"items": [{"item_id": "i", "rank": 1, "logging_propensity": -0.1}]},
            "items[0].logging_propensity",
        ),
        (Exposure, {"latency_ms": -1}, "latency_ms"),
        (Exposure, {"context": {"k": 1}}, "context[...]"),
        (Outcome, {"event_type": "view"}, "event_type"),
        (Outcome, {"value": "1"}, "value"),
        (RankList, {"items": ["i", ""]}, "items[1]"),
        (Interaction, {"v": 2}, "v"),
        (Interaction, {"rank": -1}, "rank"),
    ],
)
def test_a_value_out_of_its_bounds_is_refused(record, fields, at):
    line = next(line for of, line in MINIMAL if of is record)
    with pytest.raises(msgspec.ValidationError, match=re.escape(f"$.{at}`")):
        decode(record, line | fields)


def test_items_of_an_exposure_may_have_further_keys():
    items = [{"item_id": "i", "rank": 1, "propensity": 0.5, "price": 3}]
    (item,) = decode(Exposure, REQUEST | {"items": items}).items
    assert (item.item_id, item.rank, item.propensity) == ("i", 1, 0.5)


def test_the_rank_of_an_interaction_counts_from_zero():
    _, line = MINIMAL[-1]
    assert decode(Interaction, line | {"rank": 0}).rank == 0
