"""What a snapshot compiles: a plan for each known segment, mode and window of rules, and its versions."""

from datetime import UTC, datetime

import msgspec
import pytest

from recsys import _native
from recsys.contracts.config import read_config
from recsys.contracts.errors import ArtifactError
from recsys.contracts.rules import read_rules
from recsys.ranking.snapshot import Snapshot

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
BEFORE, AFTER = NOON.replace(hour=11), NOON.replace(hour=14)
BLOCK_AT_NOON = {
    "rule_id": "lunch",
    "action": "BLOCK",
    "target_type": "ITEM",
    "target_key": "i0",
    "valid_from": "2026-01-31T12:00:00Z",
    "valid_until": "2026-01-31T13:00:00Z",
}


def ranked(snapshot, now=NOON, segment="default", k=3, mode=None):
    return snapshot.plan(segment, now, mode).plan.rank(k, int(now.timestamp() * 1000)).item_ids


def test_a_rule_holds_within_its_window_and_not_at_its_end(make_snapshot):
    snapshot = make_snapshot([BLOCK_AT_NOON])
    assert ranked(snapshot, BEFORE) == ["i0", "i1", "i2"]
    assert ranked(snapshot, NOON) == ["i1", "i2", "i3"]
    assert ranked(snapshot, NOON.replace(hour=12, minute=59)) == ["i1", "i2", "i3"]
    assert ranked(snapshot, NOON.replace(hour=13)) == ["i0", "i1", "i2"]


def test_plans_are_shared_between_the_boundaries_of_windows(make_snapshot):
    snapshot = make_snapshot([BLOCK_AT_NOON])
    during = snapshot.plan("default", NOON)
    assert snapshot.plan("default", NOON.replace(minute=59)) is during
    before, after = snapshot.plan("default", BEFORE), snapshot.plan("default", AFTER)
    assert len({id(plan) for plan in (before, during, after)}) == 3


def test_segments_that_nothing_knows_share_one_plan(make_snapshot):
    snapshot = make_snapshot()
    unknown = snapshot.plan("x-1", NOON)
    assert all(snapshot.plan(f"x-{number}", NOON) is unknown for number in range(2, 50))
    assert ranked(snapshot, segment="x-1") == ["i0", "i1", "i2"]


@pytest.mark.parametrize("segment", ["default", "vip", "of-config", "of-rules"])
def test_segments_of_popularity_config_and_rules_have_plans_of_their_own(make_snapshot, segment):
    rule = {"rule_id": "r", "action": "BLOCK", "target_type": "ITEM", "target_key": "i7"}
    snapshot = make_snapshot(
        [rule | {"segment": "of-rules"}],
        {"surfaces": {"home": {"segments": {"of-config": {"brand_cap": 1}}}}},
    )
    assert snapshot.plan(segment, NOON) is not snapshot.plan("unknown", NOON)


def test_settings_of_a_segment_rank_that_segment_alone(make_snapshot):
    snapshot = make_snapshot(config={"surfaces": {"home": {"segments": {"narrow": {"brand_cap": 1}}}}})
    assert ranked(snapshot, segment="narrow", k=8) == ["i0", "i1"]
    assert len(ranked(snapshot, k=8)) == 8


def test_rules_of_other_surfaces_and_disabled_ones_do_nothing(make_snapshot):
    rule = {"action": "BLOCK", "target_type": "ITEM", "target_key": "i0"}
    snapshot = make_snapshot(
        [
            rule | {"rule_id": "elsewhere", "surface": "checkout"},
            rule | {"rule_id": "off", "enabled": False},
        ]
    )
    assert ranked(snapshot) == ["i0", "i1", "i2"]


def test_the_flag_turns_all_rules_off_and_leaves_their_version(make_snapshot):
    rules = [BLOCK_AT_NOON]
    off = make_snapshot(rules, {"flags": {"apply_rules": False}})
    assert ranked(off) == ["i0", "i1", "i2"]
    assert off.versions.rules_version == make_snapshot(rules).versions.rules_version


def test_each_version_follows_its_part_alone(make_snapshot):
    base = make_snapshot().versions
    assert make_snapshot().versions == base
    with_rules = make_snapshot([BLOCK_AT_NOON]).versions
    assert with_rules.rules_version != base.rules_version
    assert msgspec.structs.replace(with_rules, rules_version=base.rules_version) == base
    with_config = make_snapshot(config={"defaults": {"brand_cap": 1}}).versions
    assert with_config.config_version != base.config_version
    assert msgspec.structs.replace(with_config, config_version=base.config_version) == base


def test_a_snapshot_that_takes_over_has_the_plans_that_were_asked_for(make_snapshot):
    before, after = make_snapshot(), make_snapshot([BLOCK_AT_NOON])
    before.plan("vip", NOON, "popularity")
    after.compile_plans_of(before, NOON)
    assert {(segment, mode) for segment, mode, _ in after._plans} == {
        ("default", None),
        ("vip", "popularity"),
    }


def test_other_rules_leave_all_other_versions(make_snapshot):
    before = make_snapshot()
    after = before.with_rules(read_rules([BLOCK_AT_NOON]), "r2")
    assert ranked(after) == ["i1", "i2", "i3"]
    assert after.versions == msgspec.structs.replace(before.versions, rules_version="r2")


def test_a_release_without_a_catalog_is_refused_by_name(artifacts):
    del artifacts["catalog"]
    with pytest.raises(ArtifactError, match="manifest m7 of demo/home: names no catalog"):
        Snapshot("demo", "home", artifacts, manifest_version="m7", config=read_config({}))


def test_a_signal_of_another_catalog_is_refused_by_name(artifacts, tmp_path):
    (tmp_path / "other").mkdir()
    _native.build_catalog(str(tmp_path / "other" / "catalog.rsa"), ["x", "y"])
    foreign = artifacts | {"catalog": tmp_path / "other" / "catalog.rsa"}
    with pytest.raises(ArtifactError, match=r"popularity\.rsa: belongs to another catalog than .*other"):
        Snapshot("demo", "home", foreign, manifest_version="m1", config=read_config({}))


def test_a_signal_of_another_kind_is_refused_by_name(artifacts):
    swapped = artifacts | {"popularity": artifacts["cooc"]}
    with pytest.raises(ArtifactError, match=r"cooc\.rsa: a signal of kind cooc, where popularity"):
        Snapshot("demo", "home", swapped, manifest_version="m1", config=read_config({}))
