"""Lists of users against their definition in plain Python."""

from __future__ import annotations

import hashlib
from array import array
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys import _native
from recsys.contracts.errors import BuildError

N_ITEMS = 8
IDS = [f"item-{i}" for i in range(N_ITEMS)]
USERS = [hashlib.sha256(bytes([n])).digest() for n in range(6)]
NEIGHBOURS = {
    a: {b: round(1 / (1 + (a * 7 + b * 3) % 5), 3) for b in range(N_ITEMS) if b != a and (a + b) % 3}
    for a in range(N_ITEMS)
}
Row = tuple[int, int, int, float]


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> tuple[_native.Catalog, _native.Signal]:
    folder = tmp_path_factory.mktemp("neighbours")
    _native.build_catalog(str(folder / "catalog"), IDS)
    catalog = _native.Catalog.open(str(folder / "catalog"))
    packer = _native.SignalPacker(catalog, kind="cooc", key_type="item")
    for a, scores in NEIGHBOURS.items():
        packer.push(IDS[a], [IDS[b] for b in scores], list(scores.values()))
    packer.finish(str(folder / "cooc"))
    return catalog, _native.Signal.open(str(folder / "cooc"))


def build(opened, rows: list[Row], folder: Path, *, memory_bytes: int = 1 << 26, **params) -> Path:
    path = folder / "implicit.bin"
    builder = _native.ImplicitBuilder(
        *opened, **params, memory_bytes=memory_bytes, scratch_dir=str(folder), threads=2
    )
    users = b"".join(USERS[row[0]] for row in rows)
    columns = [array(code, [row[i] for row in rows]) for i, code in ((1, "I"), (2, "q"), (3, "f"))]
    builder.push(users, *columns)
    builder.finish(str(path))
    return path


def by_definition(rows: list[Row], *, max_history: int, half_life_ms: float | None, drop_taken: bool):
    lists = {}
    for user in {row[0] for row in rows}:
        own = [row for row in rows if row[0] == user]
        last = max(ts_ms for _, _, ts_ms, _ in own)
        latest: dict[int, int] = {}
        worth: dict[int, float] = defaultdict(float)
        for _, item, ts_ms, weight in own:
            latest[item] = max(ts_ms, latest.get(item, ts_ms))
            worth[item] += weight * (1.0 if half_life_ms is None else 2 ** (-(last - ts_ms) / half_life_ms))
        history = sorted(latest, key=lambda item: (-latest[item], item))[:max_history]
        sums: dict[str, float] = defaultdict(float)
        for item in history:
            for other, score in NEIGHBOURS[item].items():
                if not (drop_taken and other in latest):
                    sums[IDS[other]] += worth[item] * score
        lists[USERS[user].hex()] = dict(sums)
    return lists


ROWS = st.lists(
    st.tuples(
        st.integers(0, len(USERS) - 1),
        st.integers(0, N_ITEMS - 1),
        st.integers(0, 9),
        st.sampled_from([1.0, 0.5, 3.0]),
    ),
    min_size=1,
    max_size=40,
)
PARAMS = st.fixed_dictionaries(
    {
        "max_history": st.integers(1, 9),
        "half_life_ms": st.none() | st.just(3.0),
        "drop_taken": st.booleans(),
    }
)


@settings(max_examples=150, deadline=None)
@given(rows=ROWS, params=PARAMS)
def test_lists_are_those_of_the_definition(opened, tmp_path_factory, rows, params) -> None:
    catalog, _ = opened
    path = build(opened, rows, tmp_path_factory.mktemp("users"), **params)
    signal = _native.Signal.open(str(path))
    expected = by_definition(rows, **params)
    assert (signal.kind, signal.key_type) == ("implicit", "user")
    assert signal.keys(0, 100) == sorted(expected)
    for user, items in expected.items():
        ranked = signal.ranked(catalog, user, N_ITEMS) or []
        assert dict(ranked) == pytest.approx(items, rel=1e-6)
        assert ranked == sorted(ranked, key=lambda entry: (-entry[1], entry[0]))


@settings(max_examples=30, deadline=None)
@given(rows=ROWS, order=st.randoms(use_true_random=False), memory=st.integers(0, 3000))
def test_order_and_memory_do_not_change_a_byte(opened, tmp_path_factory, rows, order, memory) -> None:
    folder = tmp_path_factory.mktemp("users")
    expected = build(opened, rows, folder, half_life_ms=3.0).read_bytes()
    shuffled = list(rows)
    order.shuffle(shuffled)
    assert build(opened, shuffled, folder, half_life_ms=3.0, memory_bytes=memory).read_bytes() == expected


def test_foreign_neighbours_and_bad_columns_are_refused(opened, tmp_path: Path) -> None:
    catalog, neighbours = opened
    _native.build_catalog(str(tmp_path / "other"), ["x", "y"])
    other = _native.Catalog.open(str(tmp_path / "other"))
    builder = _native.ImplicitBuilder(other, neighbours, memory_bytes=0, scratch_dir=str(tmp_path))
    with pytest.raises(BuildError, match="belongs to another catalog than"):
        builder.finish(str(tmp_path / "out"))
    builder = _native.ImplicitBuilder(catalog, neighbours, memory_bytes=0, scratch_dir=str(tmp_path))
    with pytest.raises(BuildError, match="columns differ in length: ordinals 1"):
        builder.push(b"", array("I", [0]), array("q", [0]), array("f", [1.0]))
    with pytest.raises(BuildError, match="max_history: must be 1 or more"):
        _native.ImplicitBuilder(catalog, neighbours, max_history=0, memory_bytes=0, scratch_dir=str(tmp_path))
