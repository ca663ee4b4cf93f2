"""Lists that were computed elsewhere: the packer ranks them, and says what it cannot take."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsys import _native
from recsys.contracts.errors import BuildError

IDS = ["apple", "banana", "brötchen", "pear", "zucchini"]
SHARED_CATALOG = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
KEYS = {"segment": ["web", "app", "default"], "user": ["u-1", "u-2", "ü"], "item": IDS}


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> _native.Catalog:
    path = tmp_path_factory.mktemp("catalog") / "catalog.bin"
    _native.build_catalog(str(path), IDS)
    return _native.Catalog.open(str(path))


@SHARED_CATALOG
@given(
    data=st.data(),
    key_type=st.sampled_from(["segment", "user", "item"]),
    scores=st.sampled_from([st.floats(width=32, allow_nan=False), st.floats(-1e100, 1e100)]),
    seed=st.integers(0, 1000),
)
def test_lists_come_out_ranked_and_the_file_is_the_same_in_any_order(
    catalog: _native.Catalog,
    tmp_path_factory: pytest.TempPathFactory,
    data: st.DataObject,
    key_type: str,
    scores: st.SearchStrategy[float],
    seed: int,
) -> None:
    finite = scores.filter(math.isfinite)
    lists = data.draw(
        st.dictionaries(st.sampled_from(KEYS[key_type]), st.dictionaries(st.sampled_from(IDS), finite))
    )
    folder = tmp_path_factory.mktemp("pack")
    whole = _native.SignalPacker(catalog, kind="custom", key_type=key_type)
    for key, scored in lists.items():
        whole.push(key, list(scored), list(scored.values()))
    whole.finish(str(folder / "whole"))
    rows = [(key, item, score) for key, scored in lists.items() for item, score in scored.items()]
    random.Random(seed).shuffle(rows)
    single = _native.SignalPacker(catalog, kind="custom", key_type=key_type)
    for key in lists:
        single.push(key, [], [])
    for key, item, score in rows:
        single.push(key, [item], [score])
    single.finish(str(folder / "single"))
    assert (folder / "whole").read_bytes() == (folder / "single").read_bytes()
    signal = _native.Signal.open(str(folder / "whole"))
    assert (signal.kind, signal.key_type, signal.n_entries) == ("custom", key_type, len(rows))
    for key, scored in lists.items():
        expected = sorted(scored.items(), key=lambda pair: (-pair[1], pair[0]))
        assert signal.ranked(catalog, key, len(IDS)) == expected


def test_unknown_items_and_unknown_keys_are_left_out_and_counted(
    catalog: _native.Catalog, tmp_path: Path
) -> None:
    packer = _native.SignalPacker(catalog, kind="similar", key_type="item")
    packer.push("pear", ["apple", "quince"], [0.5, 0.7])
    packer.push("quince", ["apple"], [0.5])
    assert packer.unknown_items == 1
    packer.finish(str(tmp_path / "signal"), metadata='{"note": "mine"}')
    signal = _native.Signal.open(str(tmp_path / "signal"))
    assert signal.ranked(catalog, "pear", 5) == [("apple", 0.5)]
    assert signal.ranked(catalog, "apple", 5) == []
    metadata = json.loads(signal.metadata)
    assert metadata["counts"] == {"rows": 1, "unknown_items": 1, "unknown_keys": 1}
    assert metadata["note"] == "mine"


@pytest.mark.parametrize(
    ("key", "items", "scores", "message"),
    [
        ("", ["pear"], [1.0], "a key is empty"),
        ("web", ["pear"], [], "columns differ in length: item_ids 1, scores 0"),
        ("web", ["pear"], [math.nan], "key `web`, item `pear`: score NaN is not a number within 1e100"),
        ("web", ["pear"], [-math.inf], "key `web`, item `pear`: score -inf is not a number within 1e100"),
    ],
)
def test_a_bad_row_is_named(
    catalog: _native.Catalog, key: str, items: list[str], scores: list[float], message: str
) -> None:
    packer = _native.SignalPacker(catalog, kind="custom", key_type="segment")
    with pytest.raises(BuildError) as caught:
        packer.push(key, items, scores)
    assert str(caught.value) == message


def test_an_item_that_comes_twice_is_named(catalog: _native.Catalog, tmp_path: Path) -> None:
    packer = _native.SignalPacker(catalog, kind="custom", key_type="user")
    packer.push("u-1", ["pear"], [1.0])
    packer.push("u-1", ["pear"], [2.0])
    with pytest.raises(BuildError, match="key `u-1`: item `pear` comes more than once"):
        packer.finish(str(tmp_path / "signal"))
    assert list(tmp_path.iterdir()) == []


def test_a_bad_key_type_and_bad_metadata_are_named(catalog: _native.Catalog, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="key_type `planet`: must be segment, item or user"):
        _native.SignalPacker(catalog, kind="custom", key_type="planet")  # type: ignore[arg-type]
    packer = _native.SignalPacker(catalog, kind="custom", key_type="user")
    with pytest.raises(BuildError, match="metadata: "):
        packer.finish(str(tmp_path / "signal"), metadata="[]")
