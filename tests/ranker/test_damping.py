"""Damping of items that the user has seen."""

from pathlib import Path

import pytest

from recsys import _native


@pytest.fixture(params=[4, 2_000], ids=["a list that is scanned", "a list that is streamed"])
def plan(tmp_path: Path, request: pytest.FixtureRequest) -> _native.Plan:
    ids = [f"i{number:04}" for number in range(request.param)]
    _native.build_catalog(str(tmp_path / "catalog"), ids)
    catalog = _native.Catalog.open(str(tmp_path / "catalog"))
    for kind, key_type, key in (("popularity", "segment", "default"), ("cooc", "item", "i0003")):
        packer = _native.SignalPacker(catalog, kind=kind, key_type=key_type)
        packer.push(key, ids, [8.0 / (number + 1) for number in range(len(ids))])
        packer.finish(str(tmp_path / kind))
    popularity, cooc = (_native.Signal.open(str(tmp_path / kind)) for kind in ("popularity", "cooc"))
    options = {"weight": 0.5, "normalizer": "none"}
    sources = [
        _native.Source("popularity", popularity, key="default", weight_group="pop", **options),
        _native.Source("cooc", cooc, weight_group="cooc", **options),
    ]
    return _native.Plan(catalog, sources)


@pytest.mark.parametrize("seen", [["i0000"], ["i0000", "unknown", "i0000", "i0003", "i0000"]])
def test_an_item_that_is_named_as_seen_again_is_damped_once(plan: _native.Plan, seen: list[str]) -> None:
    ranked = plan.rank(3, 0, anchors=["i0003"], seen=seen, damping=0.4)
    assert dict(zip(ranked.item_ids, ranked.scores, strict=True)) == {
        "i0001": 4.0,
        "i0000": pytest.approx(3.2),
        "i0002": pytest.approx(8.0 / 3),
    }
    assert ranked.item_ids == ["i0001", "i0000", "i0002"]
