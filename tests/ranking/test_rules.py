"""Rules resolved against a catalog, and what they do to a list."""

from datetime import UTC, datetime

import pytest

from recsys._native import Catalog, ItemGroup, RuleSet
from recsys.contracts.rules import read_rules
from recsys.ranking.rules import RuleTargets

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)


def rule(action: str, target_type: str, key: str, **fields: object) -> dict[str, object]:
    made = {"rule_id": "r", "action": action, "target_type": target_type, "target_key": key}
    return made | ({"boost": 0.5} if action == "BOOST" else {}) | fields


def rank(snapshot, k=8, **request):
    return snapshot.plan("default", NOW).plan.rank(k, NOW_MS, **request)


@pytest.mark.parametrize(
    ("target_type", "key", "items"),
    [
        ("ITEM", "i3", ["i3"]),
        ("ITEM", "unknown", ["unknown"]),
        ("TAG", "odd", ["i1", "i3", "i5", "i7"]),
        ("BRAND", "b0", ["i0", "i2", "i4", "i6"]),
        ("CATEGORY", "c2", ["i2", "i5"]),
        ("TAG", "b0", []),
    ],
)
def test_targets_are_the_items_behind_a_key(artifacts, target_type, key, items):
    rules = read_rules([rule("BLOCK", target_type, key)])
    targets = RuleTargets(Catalog.open(str(artifacts["catalog"])), rules)
    found = targets.items_of(rules[0])
    assert list(found.item_ids if isinstance(found, ItemGroup) else found) == items


def test_many_targets_are_found_together(artifacts):
    catalog = Catalog.open(str(artifacts["catalog"]))
    targets = [("BRAND", "b1"), ("TAG", "even"), ("BRAND", "none"), ("CATEGORY", "c0"), ("BRAND", "b1")]
    found = [group.item_ids for group in ItemGroup.find(catalog, targets)]
    b1 = ["i1", "i3", "i5", "i7"]
    assert found == [b1, ["i0", "i2", "i4", "i6"], [], ["i0", "i3", "i6"], b1]


def test_a_group_of_another_catalog_is_refused(artifacts):
    first, second = (Catalog.open(str(artifacts["catalog"])) for _ in range(2))
    (group,) = ItemGroup.find(first, [("TAG", "odd")])
    with pytest.raises(ValueError, match="another catalog"):
        RuleSet(second, blocked=[("r", group)])


def test_a_boost_multiplies_the_score_and_says_so(make_snapshot):
    plain = rank(make_snapshot())
    boosted = rank(make_snapshot([rule("BOOST", "CATEGORY", "c2", boost=4.0)]))
    before = dict(zip(plain.item_ids, plain.scores, strict=True))
    after = dict(zip(boosted.item_ids, boosted.scores, strict=True))
    assert after == {item: score * (5.0 if item in ("i2", "i5") else 1.0) for item, score in before.items()}
    assert boosted.item_ids[:2] == ["i2", "i5"]
    reasons = dict(zip(boosted.item_ids, boosted.reasons, strict=True))
    assert "boost:r" in reasons["i2"]
    assert "boost:r" not in reasons["i0"]


def test_a_boost_of_minus_one_leaves_a_score_of_zero(make_snapshot):
    ranked = rank(make_snapshot([rule("BOOST", "ITEM", "i0", boost=-1.0)]))
    assert (ranked.item_ids[-1], ranked.scores[-1]) == ("i0", 0.0)


def test_a_blocked_tag_never_returns_by_pin_or_from_the_ladder(make_snapshot):
    rules = [
        rule("PIN", "ITEM", "i1", rule_id="pin", priority=9),
        rule("BLOCK", "TAG", "odd", rule_id="block"),
    ]
    ranked = rank(make_snapshot(rules))
    assert ranked.item_ids == ["i0", "i2", "i4", "i6"]


def test_pins_follow_priority_then_the_document(make_snapshot):
    rules = [
        rule("PIN", "ITEM", "i5", rule_id="first"),
        rule("PIN", "ITEM", "i6", rule_id="second"),
        rule("PIN", "ITEM", "i7", rule_id="high", priority=1),
    ]
    assert rank(make_snapshot(rules)).item_ids[:4] == ["i7", "i5", "i6", "i0"]


@pytest.mark.parametrize(("limits", "n_pinned"), [([None, None], 3), ([1, 1], 1), ([1, 4], 4), ([0, 0], 0)])
def test_the_largest_max_pins_of_active_rules_counts(make_snapshot, limits, n_pinned):
    rules = [
        {
            "rule_id": f"r{index}",
            "action": "PIN",
            "target_type": "ITEM",
            "item_ids": items,
        }
        | ({} if limit is None else {"max_pins": limit})
        for index, (items, limit) in enumerate(zip((["i7", "i6"], ["i5", "i4"]), limits, strict=True))
    ]
    ranked = rank(make_snapshot(rules))
    pinned = [reasons for reasons in ranked.reasons if any(reason.startswith("pin:") for reason in reasons)]
    assert len(pinned) == n_pinned
    assert ranked.item_ids[:n_pinned] == ["i7", "i6", "i5", "i4"][:n_pinned]


def test_an_expired_pin_does_not_raise_the_limit(make_snapshot):
    pin = {"action": "PIN", "target_type": "ITEM", "item_ids": ["i7", "i6", "i5", "i4"]}
    rules = [
        pin | {"rule_id": "over", "max_pins": 9, "valid_until": "2026-01-31T12:00:00Z"},
        pin | {"rule_id": "now", "max_pins": 2},
    ]
    assert rank(make_snapshot(rules)).item_ids[:3] == ["i7", "i6", "i0"]
