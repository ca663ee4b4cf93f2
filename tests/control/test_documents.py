"""What config and rules documents take and refuse, and where the error points."""

from __future__ import annotations

import json
import tomllib
from datetime import UTC, datetime, timedelta

import pytest

from recsys.contracts.config import derive_segment, parse_config, read_config, resolve_ranking
from recsys.contracts.documents import InvalidDocument, canonical_json
from recsys.contracts.rules import parse_rules, pin_limit, read_rules, rules_in_scope, window_boundaries

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def rule(**changes: object) -> dict[str, object]:
    return {"rule_id": "r", "action": "BLOCK", "target_type": "TAG", "target_key": "t"} | changes


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"valid_until": "2026-01-01"}, "rules[1].valid_until"),
        (
            {"valid_from": "2026-01-02T00:00:00Z", "valid_until": "2026-01-02T00:00:00Z"},
            "rules[1].valid_until",
        ),
        ({"action": "BOOST"}, "rules[1].boost"),
        ({"action": "BOOST", "boost": -1.5}, "rules[1].boost"),
        ({"boost": 0.5}, "rules[1].boost"),
        ({"target_key": None}, "rules[1].target_key"),
        ({"item_ids": ["a"]}, "rules[1].item_ids"),
        ({"target_type": "ITEM", "item_ids": ["a"]}, "rules[1].item_ids"),
        ({"rule_id": "first"}, "rules[1].rule_id"),
        ({"surface": "a/b"}, "rules[1].surface"),
        ({"max_pins": -1}, "rules[1].max_pins"),
    ],
)
def test_broken_rule_is_refused_with_a_pointer(changes: dict[str, object], pointer: str) -> None:
    document = [rule(rule_id="first"), rule(**changes)]
    for form in (document, {"rules": document}):
        with pytest.raises(InvalidDocument) as caught:
            parse_rules(json.dumps(form).encode())
        assert caught.value.pointer == pointer


@pytest.mark.parametrize(
    ("document", "pointer"),
    [
        ({"surfaces": {"a": {}, "home": {"mmr_lambda": 2}}}, "surfaces.home.mmr_lambda"),
        (
            {"surfaces": {"home": {"segments": {"x": {}, "vip": {"mode": "best"}}}}},
            "surfaces.home.segments.vip.mode",
        ),
        ({"defaults": {"ladder": ["newest", "newest"]}}, "defaults.ladder[1]"),
        ({"defaults": {"weights": {}}}, "defaults.weights"),
        ({"segmentation": [{"segment": "all"}]}, "segmentation[0]"),
        ({"limits": {"max_k": 201}}, "limits.max_k"),
        ({"surfaces": {"a/b": {}}}, "surfaces"),
    ],
)
def test_broken_config_is_refused_with_a_pointer(document: object, pointer: str) -> None:
    with pytest.raises(InvalidDocument) as caught:
        parse_config(json.dumps(document).encode())
    assert caught.value.pointer == pointer


@pytest.mark.parametrize(
    ("surfaces", "said"),
    [
        ({"ok": {}, "..": {}}, "surfaces: key '..': Expected one path segment"),
        ({"ok": {"segments": {"a": {}, "": {}}}}, "surfaces.ok.segments: key '': Expected `str` of length"),
    ],
)
def test_a_name_that_is_refused_is_told(surfaces: object, said: str) -> None:
    with pytest.raises(InvalidDocument) as caught:
        parse_config(json.dumps({"surfaces": surfaces}).encode())
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[" * 100_000, b" " * 2_000_000])
def test_what_is_not_json_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidDocument):
        parse_config(data)


def test_narrower_layers_win_and_toml_reads_as_json_does() -> None:
    toml = """
        [defaults]
        mode = "cooc"
        brand_cap = 2
        [surfaces.home]
        brand_cap = 3
        [surfaces.home.segments.vip]
        ladder = ["newest"]
    """
    config = read_config(tomllib.loads(toml))
    assert config == parse_config(json.dumps(tomllib.loads(toml)).encode())
    ranking = resolve_ranking(config, "home", "vip")
    assert (ranking.mode, ranking.brand_cap, ranking.ladder) == ("cooc", 3, ("newest",))
    assert resolve_ranking(config, "elsewhere", "vip").brand_cap == 2


def test_not_finite_numbers_of_toml_are_refused() -> None:
    with pytest.raises(InvalidDocument, match=r"defaults\.half_life_days"):
        read_config(tomllib.loads("[defaults]\nhalf_life_days = inf"))


def test_first_matching_segmentation_rule_gives_the_segment() -> None:
    rules = [
        {"segment": "alps", "locale": ["de"], "country": ["AT", "CH"]},
        {"segment": "mobile", "device": ["phone"]},
    ]
    config = read_config({"segmentation": rules})
    assert derive_segment(config, locale="de_at", country="at", device="phone") == "alps"
    assert derive_segment(config, locale="den", country="AT", device="Phone") == "mobile"
    assert derive_segment(config, locale=None, country=None, device=None) is None


def test_rules_in_scope_stand_in_order_of_authority() -> None:
    rules = read_rules(
        [
            rule(rule_id="low"),
            rule(rule_id="high-1", priority=5, segment="vip"),
            rule(rule_id="elsewhere", surface="cart"),
            rule(rule_id="off", enabled=False),
            rule(rule_id="high-2", priority=5, surface="home"),
        ]
    )
    assert [r.rule_id for r in rules_in_scope(rules, "home", "vip")] == ["high-1", "high-2", "low"]


def test_windows_exclude_their_end_and_boundaries_are_all_named() -> None:
    end = NOW + timedelta(days=1)
    (one,) = read_rules([rule(valid_from=NOW.isoformat(), valid_until=end.isoformat())])
    assert window_boundaries([one, one]) == (NOW, end)
    assert one.is_active(NOW)
    assert not one.is_active(end)


def test_pin_limit_is_three_unless_a_rule_says_otherwise() -> None:
    pins = read_rules([rule(action="PIN", max_pins=5), rule(rule_id="b", action="PIN")])
    assert pin_limit(()) == 3
    assert pin_limit(pins) == 5


def test_canonical_form_does_not_depend_on_key_order() -> None:
    assert canonical_json({"b": 1, "a": {"d": 2, "c": 3}}) == b'{"a":{"c":3,"d":2},"b":1}'
