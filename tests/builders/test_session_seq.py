"""Session sequences against their definition in plain Python."""

from __future__ import annotations

import struct
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
Row = tuple[int, int, int, float]


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> _native.Catalog:
    path = tmp_path_factory.mktemp("catalog") / "catalog.bin"
    _native.build_catalog(str(path), IDS)
    return _native.Catalog.open(str(path))


def build(catalog, rows: list[Row], folder: Path, *, memory_bytes: int = 1 << 26, batch: int = 100, **params):
    path = folder / "seq.bin"
    builder = _native.SessionSeqBuilder(
        catalog, **params, memory_bytes=memory_bytes, scratch_dir=str(folder), threads=2
    )
    for start in range(0, len(rows), batch):
        columns = zip(*rows[start : start + batch], strict=True)
        builder.push(*(array(code, column) for code, column in zip("QIqf", columns, strict=True)))
    builder.finish(str(path))
    return path


def as_f32(value: float) -> float:
    return struct.unpack("f", struct.pack("f", value))[0]


def by_definition(rows: list[Row], *, normalization: str, decay: float, max_distance: int, min_support: int):
    """For every event of a, every event of b a few steps later; steps are the distinct times of a session."""
    sessions: dict[int, list[tuple[int, int, float]]] = defaultdict(list)
    for session, item, ts_ms, weight in rows:
        sessions[session].append((ts_ms, item, weight))
    sums: dict[tuple[int, int], float] = defaultdict(float)
    support: dict[tuple[int, int], int] = defaultdict(int)
    squares: dict[int, float] = defaultdict(float)
    for events in sessions.values():
        steps = sorted({ts_ms for ts_ms, _, _ in events})
        best: dict[int, float] = defaultdict(float)
        for _, item, weight in events:
            best[item] = max(best[item], weight)
        for item, weight in best.items():
            squares[item] += weight * weight
        pairs = set()
        for ts_a, a, _ in events:
            for ts_b, b, _ in events:
                distance = steps.index(ts_b) - steps.index(ts_a)
                if a != b and 1 <= distance <= max_distance:
                    sums[a, b] += best[a] * best[b] * decay ** (distance - 1)
                    pairs.add((a, b))
        for pair in pairs:
            support[pair] += 1
    lists = {item: {} for item in IDS}
    for (a, b), total in sums.items():
        if support[a, b] >= min_support:
            lists[IDS[a]][IDS[b]] = total / squares[a] if normalization == "confidence" else total
    return lists


ROWS = st.lists(
    st.tuples(
        st.integers(0, 12),
        st.integers(0, N_ITEMS - 1),
        st.integers(0, 9),
        st.sampled_from([1.0, 0.5, 2.0]),
    ),
    min_size=1,
    max_size=80,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=ROWS,
    normalization=st.sampled_from(["count", "confidence"]),
    decay=st.sampled_from([1.0, 0.5, 0.8]),
    max_distance=st.integers(1, 6),
    min_support=st.integers(1, 2),
)
def test_lists_are_those_of_the_definition(
    catalog, tmp_path_factory, rows, normalization, decay, max_distance, min_support
) -> None:
    params = {
        "normalization": normalization,
        "decay": decay,
        "max_distance": max_distance,
        "min_support": min_support,
    }
    path = build(catalog, rows, tmp_path_factory.mktemp("seq"), **params)
    signal = _native.Signal.open(str(path))
    assert signal.kind == "session_seq"
    for item, expected in by_definition(rows, **params).items():
        ranked = signal.ranked(catalog, item, N_ITEMS) or []
        assert dict(ranked) == pytest.approx(expected, rel=1e-6)
        assert ranked == sorted(ranked, key=lambda entry: (-entry[1], entry[0]))


@settings(max_examples=40, deadline=None)
@given(
    rows=ROWS, order=st.randoms(use_true_random=False), memory=st.integers(0, 3000), batch=st.integers(1, 30)
)
def test_order_batches_and_memory_do_not_change_a_byte(
    catalog, tmp_path_factory, rows, order, memory, batch
) -> None:
    folder = tmp_path_factory.mktemp("seq")
    expected = build(catalog, rows, folder, min_support=1).read_bytes()
    shuffled = list(rows)
    order.shuffle(shuffled)
    path = build(catalog, shuffled, folder, min_support=1, memory_bytes=memory, batch=batch)
    assert path.read_bytes() == expected


def test_events_at_one_moment_have_no_order(catalog, tmp_path: Path) -> None:
    rows = [(1, 0, 5, 1.0), (1, 1, 5, 1.0), (1, 2, 9, 1.0), (1, 3, 10, 1.0)]
    path = build(catalog, rows, tmp_path, min_support=1, decay=0.5)
    signal = _native.Signal.open(str(path))
    assert signal.ranked(catalog, IDS[0], 9) == [(IDS[2], 1.0), (IDS[3], 0.5)]
    assert signal.ranked(catalog, IDS[3], 9) == []


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"decay": 0.0}, "decay: must be over 0 and at most 1"),
        ({"decay": float("nan")}, "decay: must be over 0"),
        ({"max_distance": 0}, "max_distance: must be 1 or more"),
        ({"normalization": "cosine"}, "normalization: must be count or confidence"),
    ],
)
def test_parameters_out_of_range_are_named(catalog, tmp_path: Path, params, message: str) -> None:
    with pytest.raises(BuildError, match=message):
        build(catalog, [(1, 0, 5, 1.0)], tmp_path, **params)
