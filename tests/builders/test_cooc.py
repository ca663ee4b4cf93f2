"""Co-visitation against its definition in plain Python, and the same file whatever the order of the rows."""

from __future__ import annotations

import json
import math
import struct
from array import array
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsys import _native
from recsys.contracts.errors import BuildError

N_ITEMS = 12
IDS = [f"item-{i:02d}" for i in range(N_ITEMS)]
UNKNOWN = 0xFFFFFFFF
ROOMY = 1 << 26

Row = tuple[int, int, int, float]
Lists = dict[str, list[tuple[str, float]]]


@dataclass(frozen=True)
class Params:
    normalization: str = "cosine"
    window_ms: int | None = None
    min_support: int = 1
    top_n: int = 100
    max_items_per_session: int = 200


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> _native.Catalog:
    path = tmp_path_factory.mktemp("catalog") / "catalog.bin"
    _native.build_catalog(str(path), IDS)
    return _native.Catalog.open(str(path))


def columns(rows: list[Row]) -> tuple[array[int], array[int], array[int], array[float]]:
    return (
        array("Q", [row[0] for row in rows]),
        array("I", [row[1] for row in rows]),
        array("q", [row[2] for row in rows]),
        array("f", [row[3] for row in rows]),
    )


def build(
    catalog: _native.Catalog,
    rows: list[Row],
    folder: Path,
    params: Params,
    *,
    batch: int = 1000,
    memory_bytes: int = ROOMY,
    threads: int = 2,
) -> Path:
    """Write the signal and return its path; nothing else may stay in the folder."""
    path = folder / "cooc.bin"
    builder = _native.CoocBuilder(
        catalog, **vars(params), memory_bytes=memory_bytes, scratch_dir=str(folder), threads=threads
    )
    builder.push(*columns([]))
    for start in range(0, len(rows), batch):
        builder.push(*columns(rows[start : start + batch]))
    builder.finish(str(path))
    assert [entry.name for entry in folder.iterdir()] == ["cooc.bin"]
    return path


def read(catalog: _native.Catalog, path: Path) -> Lists:
    signal = _native.Signal.open(str(path))
    return {item: signal.ranked(catalog, item, N_ITEMS) or [] for item in IDS}


def as_f32(value: float) -> float:
    return struct.unpack("f", struct.pack("f", value))[0]


def by_definition(rows: list[Row], params: Params) -> Lists:
    """Every pair of every session, in the words of the documentation."""
    weight: dict[int, dict[int, float]] = defaultdict(dict)
    times: dict[tuple[int, int], list[int]] = defaultdict(list)
    for session, item, ts_ms, row_weight in rows:
        weight[session][item] = max(row_weight, weight[session].get(item, 0.0))
        times[session, item].append(ts_ms)

    def together(session: int, a: int, b: int) -> bool:
        if a not in weight[session] or b not in weight[session]:
            return False
        return params.window_ms is None or any(
            abs(s - t) <= params.window_ms for s in times[session, a] for t in times[session, b]
        )

    squares = [sum(items.get(i, 0.0) ** 2 for items in weight.values()) for i in range(N_ITEMS)]
    lists = {}
    for a in range(N_ITEMS):
        scored = []
        for b in range(N_ITEMS):
            shared = [session for session in weight if a != b and together(session, a, b)]
            if len(shared) < params.min_support:
                continue
            total = sum(weight[session][a] * weight[session][b] for session in shared)
            divisor = {
                "count": 1.0,
                "cosine": math.sqrt(squares[a]) * math.sqrt(squares[b]),
                "jaccard": squares[a] + squares[b] - total,
                "lift": squares[a] * squares[b],
            }[params.normalization]
            factor = len(weight) if params.normalization == "lift" else 1
            score = total * factor / divisor
            scored.append((IDS[b], as_f32(score)))
        scored.sort(key=lambda pair: (-pair[1], pair[0]))
        lists[IDS[a]] = scored[: params.top_n]
    return lists


def row_lists(weights: tuple[float, ...]) -> st.SearchStrategy[list[Row]]:
    row = st.tuples(
        st.integers(0, 2**64 - 1) | st.integers(0, 15),
        st.integers(0, N_ITEMS - 1),
        st.integers(0, 40),
        st.sampled_from(weights),
    )
    return st.lists(row, max_size=120)


# Powers of two, whose sums are exact in any order: which session comes first is the builder's own matter.
ROWS = row_lists((1.0,)) | row_lists((0.25, 1.0, 2.0, 8.0))
PARAMS = st.builds(
    Params,
    normalization=st.sampled_from(["count", "cosine", "jaccard", "lift"]),
    window_ms=st.none() | st.integers(0, 15),
    min_support=st.integers(1, 3),
    top_n=st.integers(1, N_ITEMS),
)
SHARED_CATALOG = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@SHARED_CATALOG
@given(rows=ROWS, params=PARAMS)
def test_lists_are_those_of_the_definition(
    catalog: _native.Catalog, tmp_path_factory: pytest.TempPathFactory, rows: list[Row], params: Params
) -> None:
    path = build(catalog, rows, tmp_path_factory.mktemp("build"), params)
    assert read(catalog, path) == by_definition(rows, params)


@SHARED_CATALOG
@given(
    data=st.data(),
    rows=row_lists((0.1, 0.3, 1.0, 7.7)),
    params=PARAMS,
    cap=st.integers(2, N_ITEMS),
    batch=st.integers(1, 50),
    memory_bytes=st.integers(0, 4000),
    threads=st.integers(1, 3),
)
def test_the_file_is_the_same_for_any_order_batches_memory_and_threads(
    catalog: _native.Catalog,
    tmp_path_factory: pytest.TempPathFactory,
    data: st.DataObject,
    rows: list[Row],
    params: Params,
    cap: int,
    batch: int,
    memory_bytes: int,
    threads: int,
) -> None:
    params = Params(**{**vars(params), "max_items_per_session": cap})
    shuffled = data.draw(st.permutations(rows))
    first = build(catalog, rows, tmp_path_factory.mktemp("first"), params)
    second = build(
        catalog,
        shuffled,
        tmp_path_factory.mktemp("second"),
        params,
        batch=batch,
        memory_bytes=memory_bytes,
        threads=threads,
    )
    assert first.read_bytes() == second.read_bytes()


def test_many_rows_spill_to_disk_and_give_the_same_file(catalog: _native.Catalog, tmp_path: Path) -> None:
    rows = [(i * 7919 % 5000, i * i % N_ITEMS, i % 1000, 1.0 + i % 3) for i in range(40_000)]
    files = []
    for memory_bytes in (ROOMY, 1 << 16):
        folder = tmp_path / str(memory_bytes)
        folder.mkdir()
        files.append(build(catalog, rows, folder, Params(window_ms=500), memory_bytes=memory_bytes))
    assert files[0].read_bytes() == files[1].read_bytes()


def test_equal_scores_are_in_order_of_item_id(catalog: _native.Catalog, tmp_path: Path) -> None:
    rows = [(1, item, 0, 1.0) for item in (9, 3, 7, 1)]
    lists = read(catalog, build(catalog, rows, tmp_path, Params()))
    assert lists["item-03"] == [("item-01", 1.0), ("item-07", 1.0), ("item-09", 1.0)]


def test_a_heavy_session_is_sampled_and_counted(catalog: _native.Catalog, tmp_path: Path) -> None:
    builder = _native.CoocBuilder(
        catalog, max_items_per_session=4, min_support=1, memory_bytes=ROOMY, scratch_dir=str(tmp_path)
    )
    builder.push(*columns([(5, item, 0, 1.0) for item in range(10)]))
    builder.push(*columns([(5, UNKNOWN, 0, 1.0), (5, 11, 0, 0.0)]))
    path = tmp_path / "cooc.bin"
    _, heavy_sessions = builder.finish(str(path), metadata='{"note": "mine"}')
    assert heavy_sessions == 1
    lengths = [len(ranked) for ranked in read(catalog, path).values()]
    assert sorted(lengths) == [0] * 8 + [3] * 4
    metadata = json.loads(_native.Signal.open(str(path)).metadata)
    assert metadata["note"] == "mine"
    assert metadata["params"]["max_items_per_session"] == 4
    assert metadata["counts"] == {
        "rows": 10,
        "sessions": 1,
        "heavy_sessions": 1,
        "dropped_by_cap": 6,
        "unknown_items": 1,
        "zero_weights": 1,
    }


def test_no_rows_make_a_signal_of_empty_lists(catalog: _native.Catalog, tmp_path: Path) -> None:
    assert not any(read(catalog, build(catalog, [], tmp_path, Params())).values())


@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("top_n", 0, "top_n: must be 1 or more"),
        ("min_support", 0, "min_support: must be 1 or more"),
        ("max_items_per_session", 1, "max_items_per_session: must be 2 or more"),
        ("window_ms", -1, "window_ms: must be 0 or more"),
        ("normalization", "pmi", "normalization `pmi`: must be count, cosine, jaccard, lift or confidence"),
    ],
)
def test_a_bad_parameter_is_named(
    catalog: _native.Catalog, tmp_path: Path, argument: str, value: object, message: str
) -> None:
    params = {**vars(Params()), argument: value}
    with pytest.raises(BuildError) as caught:
        _native.CoocBuilder(catalog, **params, memory_bytes=0, scratch_dir=str(tmp_path))
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ((1, N_ITEMS, 0, 1.0), "row 3: ordinal 12, the catalog has 12 items"),
        ((1, 0, 0, -1.0), "row 3: weight -1 is not 0 or from 1e-6 to 1e6"),
        ((1, 0, 0, math.inf), "row 3: weight inf is not 0 or from 1e-6 to 1e6"),
        ((1, 0, 0, math.nan), "row 3: weight NaN is not 0 or from 1e-6 to 1e6"),
    ],
)
def test_a_bad_row_is_named_by_its_place_among_all_rows(
    catalog: _native.Catalog, tmp_path: Path, row: Row, message: str
) -> None:
    builder = _native.CoocBuilder(catalog, memory_bytes=0, scratch_dir=str(tmp_path))
    builder.push(*columns([(1, 2, 0, 1.0), (1, UNKNOWN, 0, 1.0)]))
    with pytest.raises(BuildError) as caught:
        builder.push(*columns([(1, 3, 0, 1.0), row]))
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("position", "column", "message"),
    [
        (0, array("q", [1]), "sessions: a buffer of u64 is needed"),
        (1, array("d", [1]), "ordinals: a buffer of u32 is needed"),
        (2, "no buffer", "ts_ms: a buffer of i64 is needed"),
        (3, array("d", [1]), "weights: a buffer of f32 is needed"),
        (3, b"abc", "weights: not contiguous, or not a whole number of elements"),
    ],
)
def test_a_column_of_another_type_is_named(
    catalog: _native.Catalog, tmp_path: Path, position: int, column: object, message: str
) -> None:
    builder = _native.CoocBuilder(catalog, memory_bytes=0, scratch_dir=str(tmp_path))
    batch: list[object] = list(columns([(1, 2, 0, 1.0)]))
    batch[position] = column
    with pytest.raises(TypeError) as caught:
        builder.push(*batch)  # type: ignore[arg-type]
    assert str(caught.value) == message


def test_columns_of_different_lengths_are_named(catalog: _native.Catalog, tmp_path: Path) -> None:
    builder = _native.CoocBuilder(catalog, memory_bytes=0, scratch_dir=str(tmp_path))
    sessions, ordinals, ts_ms, weights = columns([(1, 2, 0, 1.0)])
    with pytest.raises(BuildError, match="columns differ in length: sessions 1, weights 2"):
        builder.push(sessions, ordinals, ts_ms, weights * 2)


def test_a_missing_scratch_folder_is_named_when_it_is_needed(
    catalog: _native.Catalog, tmp_path: Path
) -> None:
    missing = tmp_path / "missing"
    builder = _native.CoocBuilder(catalog, memory_bytes=0, scratch_dir=str(missing))
    with pytest.raises(Exception, match="missing"):
        builder.push(*columns([(i, 2, 0, 1.0) for i in range(100)]))


def test_a_finished_builder_takes_nothing_more(catalog: _native.Catalog, tmp_path: Path) -> None:
    builder = _native.CoocBuilder(catalog, memory_bytes=0, scratch_dir=str(tmp_path))
    builder.finish(str(tmp_path / "cooc.bin"))
    with pytest.raises(BuildError, match="the builder is finished"):
        builder.push(*columns([(1, 2, 0, 1.0)]))
    with pytest.raises(BuildError, match="the builder is finished"):
        builder.finish(str(tmp_path / "cooc.bin"))
