"""Walks far down a list are cut short, and give what the whole walk would."""

from pathlib import Path

import pytest

from recsys import _native

N_ITEMS = 40_000
N_TAGGED = 6_000
IDS = [f"i{number:05}" for number in range(N_ITEMS)]
POPULARITY = [1000.0 - number / 100 for number in range(N_ITEMS)]
"""Falling with the number of the item."""


@pytest.fixture(scope="module")
def artifacts(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[_native.Catalog, _native.Signal, _native.Signal]:
    folder: Path = tmp_path_factory.mktemp("walks")
    first_tagged = N_ITEMS - N_TAGGED
    _native.build_catalog(
        str(folder / "catalog"), IDS, tags=[["tail"] if n >= first_tagged else [] for n in range(N_ITEMS)]
    )
    catalog = _native.Catalog.open(str(folder / "catalog"))
    packer = _native.SignalPacker(catalog, kind="popularity", key_type="segment")
    packer.push("default", IDS, POPULARITY)
    packer.finish(str(folder / "popularity"))
    packer = _native.SignalPacker(catalog, kind="cooc", key_type="item")
    packer.push("i00000", ["i39998", "i00007"], [3.0, 2.0])
    packer.finish(str(folder / "cooc"))
    return catalog, *(_native.Signal.open(str(folder / kind)) for kind in ("popularity", "cooc"))


def _plan(artifacts, boosts=()) -> _native.Plan:
    catalog, popularity, cooc = artifacts
    sources = [
        _native.Source(
            "popularity", popularity, key="default", weight=1.0, weight_group="pop", normalizer="none"
        ),
        _native.Source("cooc", cooc, weight=1.0, weight_group="cooc", normalizer="none"),
    ]
    return _native.Plan(catalog, sources, rules=_native.RuleSet(catalog, boosts=boosts))


def _list_of(ranked: _native.Ranked) -> list[tuple[str, float]]:
    return list(zip(ranked.item_ids, ranked.scores, strict=True))


def test_items_of_a_required_tag_at_the_end_of_the_list(artifacts):
    plan = _plan(artifacts)
    tagged = IDS[-N_TAGGED:]
    asked = {"anchors": ["i00000"], "exclude": tagged[2:9]}
    by_tag = plan.rank(30, 0, required_tags=["tail"], **asked)
    assert _list_of(by_tag) == _list_of(plan.rank(30, 0, include=tagged, **asked))
    assert by_tag.item_ids[:3] == ["i34000", "i34001", "i34009"]


def test_a_page_deep_in_a_required_tag(artifacts):
    plan = _plan(artifacts)
    whole = plan.rank(N_TAGGED + 10, 0, required_tags=["tail"], anchors=["i00000"])
    assert len(whole) == N_TAGGED
    page = plan.rank(10, 0, required_tags=["tail"], anchors=["i00000"], offset=3000)
    assert _list_of(page) == _list_of(whole)[3000:3010]


@pytest.mark.parametrize("factor", [1.2, 3.0])
@pytest.mark.parametrize("n_boosted", [5, 2_000, 39_000])
def test_boosted_items_at_the_end_of_the_list(artifacts, n_boosted, factor):
    boosted = IDS[-n_boosted:]
    few = IDS[10:12]
    plan = _plan(artifacts, [("tail", boosted, factor), ("few", few, 0.5), ("again", IDS[-2:], 1.1)])
    scores = dict(zip(IDS, POPULARITY, strict=True))
    scores["i39998"] += 3.0
    scores["i00007"] += 2.0
    for items, by in ((boosted, factor), (few, 0.5), (IDS[-2:], 1.1)):
        for item in items:
            scores[item] *= by
    del scores["i00000"]
    expected = sorted(scores.items(), key=lambda entry: (-entry[1], entry[0]))
    for k in (1, 50, 3000):
        assert _list_of(plan.rank(k, 0, anchors=["i00000"])) == expected[:k]
