"""Rules that name what no catalog of their surfaces has."""

from datetime import UTC, datetime
from pathlib import Path

from tests.ranking.conftest import write_surface

from recsys._native import Catalog
from recsys.contracts.rules import read_rules
from recsys.ranking.unknown_targets import MAX_WARNINGS, find_unknown_targets

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def rule(action: str, target_type: str, key: str, **fields: object) -> dict[str, object]:
    made = {"rule_id": "r", "action": action, "target_type": target_type, "target_key": key}
    return made | ({"boost": 0.5} if action == "BOOST" else {}) | fields


def catalogs_in(folder: Path, **surfaces: list[str]) -> dict[str, Catalog]:
    return {
        surface: Catalog.open(str(write_surface(folder / surface, items)["catalog"]))
        for surface, items in surfaces.items()
    }


def details(
    catalogs: dict[str, Catalog], *rules: dict[str, object], code: str = "RULE_TARGET_UNKNOWN"
) -> list[str]:
    named = [one | {"rule_id": f"r{index}"} for index, one in enumerate(rules)]
    found = find_unknown_targets(catalogs, read_rules(named), NOW)
    assert {one.code for one in found} <= {code}
    return [one.detail for one in found]


def test_each_rule_with_a_target_that_is_not_there_is_named_with_its_field(tmp_path):
    catalogs = catalogs_in(tmp_path, home=["i0", "i1", "i2"])
    items = {"rule_id": "x", "action": "PIN", "target_type": "ITEM", "item_ids": ["i0", "i9", "i8", "i9"]}
    assert details(
        catalogs,
        rule("PIN", "ITEM", "i1"),
        rule("BLOCK", "ITEM", "gone"),
        rule("BLOCK", "TAG", "even"),
        rule("BOOST", "TAG", "evn"),
        rule("BLOCK", "BRAND", "c0"),
        rule("BLOCK", "CATEGORY", "c0"),
        rule("BLOCK", "CATEGORY", "none"),
        items,
    ) == [
        "rules[1].target_key: the catalog of home has no item 'gone' (rule 'r1')",
        "rules[3].target_key: the catalog of home has no tag 'evn' (rule 'r3')",
        "rules[4].target_key: the catalog of home has no brand 'c0' (rule 'r4')",
        "rules[6].target_key: the catalog of home has no category 'none' (rule 'r6')",
        "rules[7].item_ids: the catalog of home has no item 'i9', 'i8' (rule 'r7')",
    ]


def test_a_rule_is_compared_with_the_surfaces_where_it_holds(tmp_path):
    catalogs = catalogs_in(tmp_path, home=["i0", "i1"], shelf=["i0", "i5"])
    assert details(catalogs, rule("PIN", "ITEM", "i5"), rule("PIN", "ITEM", "i5", surface="shelf")) == []
    assert details(
        catalogs,
        rule("PIN", "ITEM", "i5", surface="home"),
        rule("PIN", "ITEM", "i7"),
        rule("PIN", "ITEM", "i0"),
    ) == [
        "rules[0].target_key: the catalog of home has no item 'i5' (rule 'r0')",
        "rules[1].target_key: the catalogs of home, shelf have no item 'i7' (rule 'r1')",
    ]


def test_nothing_is_said_where_there_is_nothing_to_compare_with(tmp_path):
    assert details({}, rule("PIN", "ITEM", "gone")) == []
    assert details({}, rule("PIN", "ITEM", "gone", surface="cart")) == []


def test_a_rule_for_a_surface_that_is_not_served_is_named(tmp_path):
    catalogs = catalogs_in(tmp_path, home=["i0"], shelf=["i0"])
    rules = [rule("PIN", "ITEM", "i0", surface=surface) for surface in ("home", "hom", "shelf")]
    off = rule("PIN", "ITEM", "i0", surface="hom", enabled=False)
    code = "RULE_SURFACE_UNKNOWN"
    assert details(catalogs, *rules, off, code=code) == [
        "rules[1].surface: 'hom' is not served; served: home, shelf (rule 'r1')"
    ]
    many = details(catalogs, *[rules[1]] * 40, code=code)
    assert len(many) == MAX_WARNINGS + 1
    assert many[-1] == "rules: 30 more of them are for surfaces that are not served"


def test_a_rule_that_is_off_or_over_is_not_named(tmp_path):
    catalogs = catalogs_in(tmp_path, home=["i0"])
    over = rule("PIN", "ITEM", "gone", valid_until="2026-01-31T12:00:00Z")
    to_come = rule("PIN", "ITEM", "gone", valid_from="2027-01-01T00:00:00Z")
    assert details(catalogs, over, rule("PIN", "ITEM", "gone", enabled=False)) == []
    assert len(details(catalogs, to_come)) == 1


def test_what_is_said_is_bounded(tmp_path):
    catalogs = catalogs_in(tmp_path, **{f"s{number}": [f"i{number}"] for number in range(5)})
    many = {
        "rule_id": "x",
        "action": "BLOCK",
        "target_type": "ITEM",
        "item_ids": [f"{number}-{'x' * 5000}" for number in range(100)],
    }
    found = details(catalogs, *[many] * 40)
    assert len(found) == MAX_WARNINGS + 1
    assert max(map(len, found)) < 500
    assert found[0].startswith("rules[0].item_ids: the catalogs of s0, s1, s2 and 2 more have no item '0-x")
    assert found[0].endswith("and 97 more (rule 'r0')")
    assert found[-1] == "rules: 30 more of them name what the catalogs do not have"


def test_surfaces_with_the_same_catalog_are_asked_once(tmp_path):
    (catalog,) = catalogs_in(tmp_path, home=["i0"]).values()
    again = Catalog.open(catalog.path)
    assert details({"a": catalog, "b": again}, rule("PIN", "ITEM", "i0"), rule("PIN", "ITEM", "i1")) == [
        "rules[1].target_key: the catalogs of a, b have no item 'i1' (rule 'r1')"
    ]
