"""The session index against its definition in plain Python."""

from __future__ import annotations

import json
from array import array
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsys import _native
from recsys.contracts.errors import BuildError

N_ITEMS = 8
IDS = [f"item-{i}" for i in range(N_ITEMS)]
UNKNOWN = 0xFFFF_FFFF
Row = tuple[int, int, int, float]


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> _native.Catalog:
    path = tmp_path_factory.mktemp("catalog") / "catalog.bin"
    _native.build_catalog(str(path), IDS)
    return _native.Catalog.open(str(path))


def build(catalog, rows: list[Row], folder: Path, *, memory_bytes: int = 1 << 26, batch: int = 100, **params):
    path = folder / "index.bin"
    builder = _native.SessionKnnBuilder(
        catalog, **params, memory_bytes=memory_bytes, scratch_dir=str(folder), threads=2
    )
    for start in range(0, len(rows), batch):
        columns = zip(*rows[start : start + batch], strict=True)
        builder.push(*(array(code, column) for code, column in zip("QIqf", columns, strict=True)))
    builder.finish(str(path))
    _native.verify(str(path))
    return path


ROWS = st.lists(
    st.tuples(
        st.integers(0, 12),
        st.sampled_from([*range(N_ITEMS), UNKNOWN]),
        st.sampled_from([-(2**63), -5, 0, 1, 2, 3, 2**63 - 1]),
        st.sampled_from([1.0, 0.5, 0.0]),
    ),
    max_size=80,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, per_item=st.integers(1, 6))
def test_sessions_and_lists_are_those_of_the_definition(catalog, tmp_path_factory, rows, per_item) -> None:
    path = build(catalog, rows, tmp_path_factory.mktemp("knn"), sessions_per_item=per_item)
    items: dict[int, set[int]] = defaultdict(set)
    last: dict[int, int] = {}
    for session, item, ts_ms, weight in rows:
        if item != UNKNOWN and weight > 0:
            items[session].add(item)
            last[session] = max(last.get(session, ts_ms), ts_ms)
    kept = [session for session, taken in items.items() if len(taken) > 1]
    index = _native.SessionIndex.open(str(path))
    counts = json.loads(index.metadata)["counts"]
    assert index.n_sessions == len(kept)
    assert index.n_entries == sum(len(items[session]) for session in kept)
    assert counts["single_item_sessions"] == len(items) - len(kept)
    assert counts["sessions"] == len(items)
    # Sessions of one moment may come in any order, so lengths are compared by moment.
    lengths = index.session_lengths()
    for moment in set(last.values()):
        before = sum(last[session] > moment for session in kept)
        then = sorted(len(items[session]) for session in kept if last[session] == moment)
        assert sorted(lengths[before : before + len(then)]) == then
    frequency = [sum(item in items[session] for session in kept) for item in range(N_ITEMS)]
    assert index.list_lengths() == [min(count, per_item) for count in frequency]


@settings(max_examples=60, deadline=None)
@given(
    rows=ROWS, order=st.randoms(use_true_random=False), memory=st.integers(0, 3000), batch=st.integers(1, 30)
)
def test_order_batches_and_memory_do_not_change_a_byte(
    catalog, tmp_path_factory, rows, order, memory, batch
) -> None:
    folder = tmp_path_factory.mktemp("knn")
    expected = build(catalog, rows, folder).read_bytes()
    shuffled = list(rows)
    order.shuffle(shuffled)
    path = build(catalog, shuffled, folder, memory_bytes=memory, batch=batch)
    assert path.read_bytes() == expected


def test_a_heavy_session_is_sampled_and_counted(catalog, tmp_path: Path) -> None:
    rows = [(1, item, item, 1.0) for item in range(N_ITEMS)]
    index = _native.SessionIndex.open(str(build(catalog, rows, tmp_path, max_items_per_session=3)))
    assert index.session_lengths() == [3]
    counts = json.loads(index.metadata)["counts"]
    assert (counts["heavy_sessions"], counts["dropped_by_cap"]) == (1, N_ITEMS - 3)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"sessions_per_item": 0}, "sessions_per_item: must be 1 or more"),
        ({"max_items_per_session": 1}, "max_items_per_session: must be 2 or more"),
    ],
)
def test_parameters_out_of_range_are_named(catalog, tmp_path: Path, params, message: str) -> None:
    with pytest.raises(BuildError, match=message):
        build(catalog, [(1, 0, 5, 1.0)], tmp_path, **params)


def test_a_row_that_makes_no_sense_is_named(catalog, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="row 1: ordinal 8, the catalog has 8 items"):
        build(catalog, [(1, 0, 5, 1.0), (1, N_ITEMS, 5, 1.0)], tmp_path)
