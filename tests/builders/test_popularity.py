"""Popularity against its definition in exact fractions, and the same file whatever the order of the rows."""

from __future__ import annotations

import json
import math
from array import array
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsys import _native
from recsys.contracts.errors import BuildError

N_ITEMS = 15
IDS = [f"item-{i:02d}" for i in range(N_ITEMS)]
SEGMENTS = ["web", "default", "app", "ümlaut"]
NOW_MS = 1_000
HALF_LIFE_MS = 70.0
UNKNOWN = 0xFFFFFFFF
ROOMY = 1 << 26

Row = tuple[int, int, int, float]

ROWS = st.lists(
    st.tuples(
        st.integers(0, len(SEGMENTS) - 1),
        st.integers(0, N_ITEMS - 1),
        st.integers(0, NOW_MS + 100),
        st.floats(1e-3, 1e6),
    ),
    max_size=150,
)
SHARED_CATALOG = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> _native.Catalog:
    path = tmp_path_factory.mktemp("catalog") / "catalog.bin"
    _native.build_catalog(str(path), IDS)
    return _native.Catalog.open(str(path))


def columns(rows: list[Row]) -> tuple[array[int], array[int], array[int], array[float]]:
    return (
        array("I", [row[0] for row in rows]),
        array("I", [row[1] for row in rows]),
        array("q", [row[2] for row in rows]),
        array("d", [row[3] for row in rows]),
    )


def make(
    catalog: _native.Catalog,
    folder: Path,
    *,
    half_life_ms: float | None = HALF_LIFE_MS,
    memory_bytes: int = ROOMY,
    threads: int = 1,
) -> _native.PopularityBuilder:
    return _native.PopularityBuilder(
        catalog,
        now_ms=NOW_MS,
        half_life_ms=half_life_ms,
        memory_bytes=memory_bytes,
        scratch_dir=str(folder),
        threads=threads,
    )


def build(
    catalog: _native.Catalog,
    rows: list[Row],
    folder: Path,
    *,
    batch: int = 1000,
    memory_bytes: int = ROOMY,
    threads: int = 1,
) -> Path:
    """Write the signal and return its path; nothing else may stay in the folder."""
    builder = make(catalog, folder, memory_bytes=memory_bytes, threads=threads)
    builder.push(SEGMENTS, *columns([]))
    for start in range(0, len(rows), batch):
        builder.push(SEGMENTS, *columns(rows[start : start + batch]))
    builder.finish(str(folder / "popularity.bin"))
    assert [entry.name for entry in folder.iterdir()] == ["popularity.bin"]
    return folder / "popularity.bin"


@SHARED_CATALOG
@given(rows=ROWS)
def test_scores_are_decayed_sums_best_first(
    catalog: _native.Catalog, tmp_path_factory: pytest.TempPathFactory, rows: list[Row]
) -> None:
    signal = _native.Signal.open(str(build(catalog, rows, tmp_path_factory.mktemp("build"))))
    assert signal.keys(0, 10) == sorted({"default", *(SEGMENTS[row[0]] for row in rows)})
    for code, segment in enumerate(SEGMENTS):
        sums: dict[str, Fraction] = {}
        for row_code, item, ts_ms, weight in rows:
            if segment == "default" or row_code == code:
                amount = weight * 2.0 ** -(max(NOW_MS - ts_ms, 0) / HALF_LIFE_MS)
                sums[IDS[item]] = sums.get(IDS[item], Fraction()) + Fraction(amount)
        ranked = signal.ranked(catalog, segment, N_ITEMS) or []
        assert {item for item, _ in ranked} == set(sums)
        for item, score in ranked:
            assert math.isclose(score, sums[item], rel_tol=1e-12)
        assert ranked == sorted(ranked, key=lambda pair: (-pair[1], pair[0]))


@SHARED_CATALOG
@given(
    data=st.data(),
    rows=ROWS,
    batch=st.integers(1, 40),
    memory_bytes=st.integers(0, 8000),
    threads=st.integers(1, 3),
)
def test_the_file_is_the_same_for_any_order_batches_memory_and_threads(
    catalog: _native.Catalog,
    tmp_path_factory: pytest.TempPathFactory,
    data: st.DataObject,
    rows: list[Row],
    batch: int,
    memory_bytes: int,
    threads: int,
) -> None:
    shuffled = data.draw(st.permutations(rows))
    first = build(catalog, rows, tmp_path_factory.mktemp("first"))
    folder = tmp_path_factory.mktemp("second")
    second = build(catalog, shuffled, folder, batch=batch, memory_bytes=memory_bytes, threads=threads)
    assert first.read_bytes() == second.read_bytes()


def test_many_segments_spill_to_disk_and_give_the_same_file(catalog: _native.Catalog, tmp_path: Path) -> None:
    names = [f"segment-{i:04d}" for i in range(2000)]
    rows = [(i * 7919 % 2000, i * i % N_ITEMS, i % NOW_MS, 1 + i % 3) for i in range(30_000)]
    files = []
    for memory_bytes in (ROOMY, 1 << 16):
        folder = tmp_path / str(memory_bytes)
        folder.mkdir()
        builder = make(catalog, folder, memory_bytes=memory_bytes)
        builder.push(names, *columns(rows))
        builder.finish(str(folder / "popularity.bin"))
        files.append((folder / "popularity.bin").read_bytes())
    assert files[0] == files[1]


def test_nothing_decays_without_a_half_life(catalog: _native.Catalog, tmp_path: Path) -> None:
    builder = make(catalog, tmp_path, half_life_ms=None)
    builder.push(["web"], *columns([(0, 1, 0, 1.0), (0, 1, 999, 2.5), (0, 2, -(10**12), 1.0)]))
    builder.finish(str(tmp_path / "popularity.bin"))
    signal = _native.Signal.open(str(tmp_path / "popularity.bin"))
    assert signal.ranked(catalog, "web", 5) == [("item-01", 3.5), ("item-02", 1.0)]
    assert signal.ranked(catalog, "default", 5) == signal.ranked(catalog, "web", 5)


def test_what_is_left_out_is_counted(catalog: _native.Catalog, tmp_path: Path) -> None:
    builder = make(catalog, tmp_path)
    rows = [(0, 1, 500, 1.0), (0, UNKNOWN, 500, 1.0), (0, 2, 500, 0.0), (0, 3, NOW_MS + 1, 1.0)]
    builder.push(["web"], *columns(rows))
    builder.finish(str(tmp_path / "popularity.bin"), metadata='{"note": "mine"}')
    metadata = json.loads(_native.Signal.open(str(tmp_path / "popularity.bin")).metadata)
    assert metadata["note"] == "mine"
    counts = metadata["counts"]
    assert (counts["rows"], counts["unknown_items"], counts["zero_weights"], counts["future_rows"]) == (
        2,
        1,
        1,
        1,
    )


@pytest.mark.parametrize("half_life_ms", [0.0, -1.0, math.nan, math.inf])
def test_a_bad_half_life_is_named(catalog: _native.Catalog, tmp_path: Path, half_life_ms: float) -> None:
    with pytest.raises(BuildError, match="half_life_ms: must be a number over 0"):
        make(catalog, tmp_path, half_life_ms=half_life_ms)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ((1, 0, 0, 1.0), "row 2: segment code 1, there are 1 segments"),
        ((0, N_ITEMS, 0, 1.0), "row 2: ordinal 15, the catalog has 15 items"),
        ((0, 0, 0, -1.0), "row 2: weight -1 is not from 0 to 1e12"),
        ((0, 0, 0, math.nan), "row 2: weight NaN is not from 0 to 1e12"),
    ],
)
def test_a_bad_row_is_named_by_its_place_among_all_rows(
    catalog: _native.Catalog, tmp_path: Path, row: Row, message: str
) -> None:
    builder = make(catalog, tmp_path)
    builder.push(["web"], *columns([(0, 0, 0, 1.0)]))
    with pytest.raises(BuildError) as caught:
        builder.push(["web"], *columns([(0, UNKNOWN, 0, 1.0), row]))
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("position", "name", "kind"),
    [(0, "segment_codes", "u32"), (1, "ordinals", "u32"), (2, "ts_ms", "i64"), (3, "weights", "f64")],
)
def test_a_column_of_another_type_is_named(
    catalog: _native.Catalog, tmp_path: Path, position: int, name: str, kind: str
) -> None:
    batch: list[object] = list(columns([(0, 0, 0, 1.0)]))
    batch[position] = array("H", [1])
    with pytest.raises(TypeError, match=f"{name}: a buffer of {kind} is needed"):
        make(catalog, tmp_path).push(["web"], *batch)  # type: ignore[arg-type]


def test_columns_of_different_lengths_and_empty_segments_are_named(
    catalog: _native.Catalog, tmp_path: Path
) -> None:
    codes, ordinals, ts_ms, weights = columns([(0, 0, 0, 1.0)])
    builder = make(catalog, tmp_path)
    with pytest.raises(BuildError, match="columns differ in length: segment_codes 1, ts_ms 2"):
        builder.push(["web"], codes, ordinals, ts_ms * 2, weights)
    with pytest.raises(BuildError, match="segments: a name is empty"):
        builder.push([""], codes, ordinals, ts_ms, weights)
