"""Which signals a mode asks for, which of them are missing, and the ladder behind them."""

from datetime import UTC, datetime

import pytest

from recsys.contracts.config import read_config
from recsys.ranking.snapshot import Snapshot

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)


@pytest.fixture
def make_bare(artifacts):
    """Make a snapshot of a surface that has the given signals alone."""

    def make(*kinds: str, config: dict[str, object] | None = None) -> Snapshot:
        kept = {kind: path for kind, path in artifacts.items() if kind in ("catalog", *kinds)}
        return Snapshot("demo", "home", kept, manifest_version="m1", config=read_config(config or {}))

    return make


@pytest.mark.parametrize(
    ("kinds", "mode", "missing"),
    [
        (("popularity", "cooc"), "blend", ()),
        (("popularity",), "blend", ("cooc",)),
        ((), "blend", ("popularity", "cooc")),
        (("popularity",), "cooc", ("cooc",)),
        (("cooc",), "cooc", ()),
        (("popularity", "cooc"), "implicit", ("implicit",)),
    ],
)
def test_missing_signals_are_those_the_mode_asks_for(make_bare, kinds, mode, missing):
    compiled = make_bare(*kinds).plan("default", NOW, mode)
    assert (compiled.mode, compiled.missing) == (mode, missing)


def test_the_mode_of_a_request_overrides_the_configured_one(make_snapshot):
    snapshot = make_snapshot(config={"defaults": {"mode": "popularity"}})
    assert snapshot.plan("default", NOW).mode == "popularity"
    ranked = snapshot.plan("default", NOW, "cooc").plan.rank(2, NOW_MS, anchors=["i0"])
    assert (ranked.item_ids, ranked.rungs) == (["i1", "i2"], [])


def test_weights_of_a_blend_do_not_touch_a_mode_of_one_signal(make_snapshot):
    snapshot = make_snapshot(config={"defaults": {"weights": {"pop": 0.25, "cooc": 1.0}}})
    (alone,) = snapshot.plan("default", NOW, "popularity").plan.rank(1, NOW_MS).scores
    (blended,) = snapshot.plan("default", NOW).plan.rank(1, NOW_MS).scores
    assert blended == 0.25 * alone


def test_a_known_segment_falls_back_to_its_own_list_and_then_to_the_default(make_snapshot):
    ranked = make_snapshot().plan("vip", NOW, "cooc").plan.rank(4, NOW_MS)
    assert ranked.item_ids == ["i4", "i5", "i0", "i1"]
    assert ranked.rungs == ["segment", "surface_default"]


def test_one_list_stands_once_on_the_ladder_under_its_first_name(make_snapshot):
    names = ["tenant_default", "popularity", "surface_default"]
    snapshot = make_snapshot(config={"defaults": {"ladder": names}})
    assert snapshot.plan("vip", NOW, "cooc").plan.rank(8, NOW_MS).rungs == ["tenant_default"]


def test_without_signals_the_newest_are_served(make_bare):
    ranked = make_bare().plan("default", NOW).plan.rank(3, NOW_MS)
    assert len(ranked.item_ids) == 3
    assert ranked.rungs == ["newest"]


def test_an_empty_ladder_leaves_a_short_list_short(make_snapshot):
    snapshot = make_snapshot(config={"defaults": {"ladder": [], "mode": "cooc"}})
    assert snapshot.plan("default", NOW).plan.rank(5, NOW_MS, anchors=["i0"]).item_ids == ["i1", "i2"]
