"""Fresh popularity: what counts, how much, and that equal outcomes give an equal artifact."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys._native import Catalog, Signal, SignalPacker, build_catalog
from recsys.contracts.config import read_config
from recsys.contracts.documents import InvalidDocument
from recsys.contracts.fresh_popularity import FreshPopularity
from recsys.eventlog.outcome_window import PlacedOutcome
from recsys.ranking.fresh_popularity import count_fresh, merge_popularity, window_end_s

HOUR = 3600.0
NOW_S = 1000 * HOUR
ONE = FreshPopularity(min_users=1, half_life_hours=1.0, window_hours=10.0)


def took(
    item: str, user: str, hours_ago: float = 0.0, segment: str = "default", event: str = "click"
) -> PlacedOutcome:
    return PlacedOutcome("demo", "home", segment, item, user, event, NOW_S - hours_ago * HOUR)


def count(*outcomes: PlacedOutcome, settings: FreshPopularity = ONE, **fields: object) -> dict:
    given_ = {"event_weights": {}, "after_s": 0.0, "as_of_s": NOW_S} | fields
    return count_fresh(outcomes, settings, **given_)


def test_each_user_counts_once_by_the_outcome_that_weighs_most() -> None:
    clicks = [took("a", "u", hours) for hours in (3.0, 1.0, 2.0)] * 100
    assert count(*clicks) == {"default": {"a": 0.5}}
    bought = took("a", "u", 2.0, event="conversion")
    assert count(*clicks, bought, event_weights={"conversion": 8.0}) == {"default": {"a": 2.0}}
    assert count(*clicks, bought, event_weights={"*": 0.0, "conversion": 1.0}) == {"default": {"a": 0.25}}


def test_only_what_the_release_has_not_counted_and_the_window_holds_is_fresh() -> None:
    outcomes = [took(f"{hours}", "u", hours) for hours in (-1.0, 0.0, 4.0, 6.0, 11.0)]
    assert set(count(*outcomes)["default"]) == {"0.0", "4.0", "6.0"}
    assert set(count(*outcomes, after_s=NOW_S - 5 * HOUR)["default"]) == {"0.0", "4.0"}


def test_an_item_needs_its_number_of_users_and_the_first_items_gain() -> None:
    outcomes = [took(item, f"u{number}") for number, item in enumerate("aaabbc")]
    two = FreshPopularity(min_users=2)
    assert count(*outcomes, settings=two) == {"default": {"a": 3.0, "b": 2.0}}
    assert count(*outcomes, settings=FreshPopularity(min_users=1, max_items=1)) == {"default": {"a": 3.0}}


def test_a_segment_counts_for_itself_and_for_the_list_over_all() -> None:
    found = count(took("a", "u", segment="vip"), took("a", "v"))
    assert found == {"vip": {"a": 1.0}, "default": {"a": 2.0}}


@given(
    st.lists(st.builds(took, st.sampled_from("abc"), st.sampled_from("uvw"), st.floats(0, 12)), max_size=30),
    st.randoms(use_true_random=False),
)
def test_the_order_of_outcomes_does_not_matter(outcomes: list[PlacedOutcome], order: random.Random) -> None:
    shuffled = list(outcomes)
    order.shuffle(shuffled)
    assert count(*shuffled) == count(*outcomes)


@pytest.fixture
def published(tmp_path: Path) -> tuple[Catalog, Signal]:
    build_catalog(str(tmp_path / "catalog"), ["a", "b", "c", "d"])
    catalog = Catalog.open(str(tmp_path / "catalog"))
    packer = SignalPacker(catalog, kind="popularity", key_type="segment")
    packer.push("default", ["a", "b"], [5.0, 3.0])
    packer.push("vip", ["c"], [1.0])
    window = '"window": {"start": "2026-01-01T00:00:00Z", "end": "2026-01-31T00:00:00Z"}'
    packer.finish(str(tmp_path / "popularity"), metadata="{" + window + "}")
    return catalog, Signal.open(str(tmp_path / "popularity"))


def test_gains_are_added_to_the_published_lists(published: tuple[Catalog, Signal], tmp_path: Path) -> None:
    catalog, popularity = published
    counts = {"default": {"b": 4.0, "d": 1.0, "unknown": 9.0}, "new": {"a": 1.0}}
    version = merge_popularity(catalog, popularity, counts, tmp_path / "one" / "merged")
    merged = Signal.open(str(tmp_path / "one" / "merged"))
    assert merged.ranked(catalog, "default", 9) == [("b", 7.0), ("a", 5.0), ("d", 1.0)]
    assert merged.ranked(catalog, "vip", 9) == [("c", 1.0)]
    assert merged.keys(0, 9) == ["default", "vip"]
    assert window_end_s(merged) == window_end_s(popularity) == 1769817600.0
    assert merge_popularity(catalog, popularity, counts, tmp_path / "two") == version


def test_nothing_is_written_when_nothing_gains(published: tuple[Catalog, Signal], tmp_path: Path) -> None:
    assert (
        merge_popularity(*published, {"default": {"unknown": 1.0}, "new": {"a": 1.0}}, tmp_path / "x") is None
    )
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("field", "value"), [("weight", 1e400), ("half_life_hours", 0), ("refresh_s", 1), ("min_users", 0)]
)
def test_numbers_that_cannot_be_used_are_named(field: str, value: float) -> None:
    with pytest.raises(InvalidDocument, match=field):
        read_config({"surfaces": {"home": {"fresh_popularity": {field: value}}}})
