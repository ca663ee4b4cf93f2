"""A config weighs the signals of a blend apart, those of one group too."""

from array import array
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.ranking.conftest import ITEMS

from recsys import _native
from recsys.contracts.config import SignalName, read_config, resolve_ranking, weight_of
from recsys.contracts.documents import InvalidDocument
from recsys.ranking import reference
from recsys.ranking.plans import CompiledPlan
from recsys.ranking.reference_sessions import Sessions
from recsys.ranking.snapshot import Snapshot

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
SEQUENCES = [("i3", 5.0), ("i1", 2.0)]
SESSIONS = [["i0", "i4", "i1"], ["i0", "i3"], ["i5", "i6"]]
APART = {"pop": 0.25, "cooc": 1.0, "signals": {"session_seq": 3.0, "session_knn": 0.5}}

MakePlan = Callable[..., CompiledPlan]


@pytest.fixture
def make_plan(artifacts: dict[str, Path]) -> MakePlan:
    """Make the plan of a surface with popularity and the three signals of the group cooc."""
    catalog = _native.Catalog.open(str(artifacts["catalog"]))
    folder = artifacts["catalog"].parent
    packer = _native.SignalPacker(catalog, kind="session_seq", key_type="item")
    packer.push("i0", [item for item, _ in SEQUENCES], [score for _, score in SEQUENCES])
    packer.finish(str(folder / "session_seq.rsa"))
    builder = _native.SessionKnnBuilder(catalog, memory_bytes=1 << 20, scratch_dir=str(folder))
    rows = [(number, item) for number, session in enumerate(SESSIONS) for item in session]
    builder.push(
        array("Q", [number for number, _ in rows]),
        array("I", [ITEMS.index(item) for _, item in rows]),
        array("q", [-number for number, _ in rows]),
        array("f", [1.0 for _ in rows]),
    )
    builder.finish(str(folder / "session_knn.rsa"))

    def make(weights: dict[str, object], *, without: str = "") -> CompiledPlan:
        kinds = {"session_seq", "session_knn", *artifacts} - {without}
        snapshot = Snapshot(
            "demo",
            "home",
            {kind: folder / f"{kind}.rsa" for kind in kinds},
            manifest_version="m1",
            config=read_config({"defaults": {"weights": weights}}),
        )
        return snapshot.plan("default", NOW)

    return make


def test_each_signal_takes_its_own_weight_and_the_explanation_adds_up(make_plan: MakePlan) -> None:
    ranked = make_plan(APART).plan.rank(6, NOW_MS, anchors=["i0"], explain=True)
    weights = {"popularity": 0.25, "cooc": 1.0, "session_seq": 3.0, "session_knn": 0.5}
    seen = set()
    for score, parts in zip(ranked.scores, ranked.contributions, strict=True):
        total = 0.0
        for name, _, normalized, weighted in parts:
            assert weighted == weights[name] * normalized
            total += weighted
            seen.add(name)
        assert total == score
    assert seen == weights.keys()


def test_the_reference_ranks_the_same(make_plan: MakePlan) -> None:
    compiled = make_plan(APART)
    weights = compiled.ranking.weights
    popularity = [(item, float(len(ITEMS) - number)) for number, item in enumerate(ITEMS)]
    lists: dict[SignalName, dict[str, list[tuple[str, float]]]] = {
        "popularity": {"default": popularity},
        "cooc": {"i0": [("i1", 9.0), ("i2", 6.0)]},
        "session_seq": {"i0": SEQUENCES},
        "session_knn": {},
    }
    sources = [
        reference.Source(
            name,
            of_signal,
            "segment" if name == "popularity" else "item",
            weight_of(weights, name),
            "pop" if name == "popularity" else "cooc",
            key="default",
            sessions=Sessions([frozenset(one) for one in SESSIONS], 500, 100, 3)
            if name == "session_knn"
            else None,
        )
        for name, of_signal in lists.items()
    ]
    plan = reference.Plan(dict.fromkeys(ITEMS, reference.Item()), sources)
    ranked = compiled.plan.rank(6, NOW_MS, anchors=["i0"])
    expected = reference.rank(plan, reference.Request(6, NOW_MS, anchors=["i0"]))
    assert list(zip(ranked.item_ids, ranked.scores, ranked.reasons, strict=True)) == expected


def test_weights_of_a_request_replace_those_of_signals_too(make_plan: MakePlan) -> None:
    asked = make_plan(APART).plan.rank(6, NOW_MS, anchors=["i0"], weights=(0.25, 1.0, 0.0))
    plain = make_plan({"pop": 0.25, "cooc": 1.0}).plan.rank(6, NOW_MS, anchors=["i0"])
    assert (asked.item_ids, asked.scores) == (plain.item_ids, plain.scores)


def test_a_signal_of_weight_0_gives_nothing_and_is_not_missed(make_plan: MakePlan) -> None:
    weights = {"pop": 1.0, "cooc": 1.0, "signals": {"cooc": 0.0}}
    reasons = make_plan(weights).plan.rank(6, NOW_MS, anchors=["i0"]).reasons
    assert not any("cooc" in names for names in reasons)
    assert any("session_seq" in names for names in reasons)
    assert make_plan(weights, without="cooc").missing == ()
    assert make_plan({"pop": 1.0, "cooc": 1.0}, without="cooc").missing == ("cooc",)


def test_a_layer_that_gives_weights_gives_all_of_them() -> None:
    config = read_config({"defaults": {"weights": APART}, "surfaces": {"cart": {"weights": {"cooc": 1.0}}}})
    home, cart = (resolve_ranking(config, surface, "default").weights for surface in ("home", "cart"))
    assert weight_of(home, "session_seq") == 3.0
    assert weight_of(home, "implicit") == 0.0
    assert weight_of(cart, "session_seq") == 1.0


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        ({"cooc": 1.0, "signals": {"coocc": 1.0}}, "signals"),
        ({"cooc": 1.0, "signals": {"pop": 1.0}}, "signals"),
        ({"cooc": 1.0, "signals": {"cooc": -1.0}}, "signals"),
        ({"signals": {"cooc": 0.0}}, "all are 0"),
        ({"cooc": 1.0, "signals": {"cooc": 0, "session_seq": 0, "session_knn": 0}}, "all are 0"),
    ],
)
def test_weights_that_cannot_be_used_are_refused(weights: dict[str, object], told: str) -> None:
    with pytest.raises(InvalidDocument, match=told) as raised:
        read_config({"defaults": {"weights": weights}})
    assert raised.value.pointer.startswith("defaults.weights")


def test_a_signal_alone_may_have_weight(make_plan: MakePlan) -> None:
    ranked = make_plan({"signals": {"session_seq": 1.0}}).plan.rank(2, NOW_MS, anchors=["i0"])
    assert (ranked.item_ids, ranked.reasons) == (["i3", "i1"], [["session_seq"], ["session_seq"]])
