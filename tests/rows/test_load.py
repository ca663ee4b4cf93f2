"""Rows into the store: whole days replaced, merged, refused by name, and never half."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsys.contracts.errors import RecsysError
from recsys.contracts.rows import RowKind, RowsLoaded
from recsys.control.plane import ControlPlane
from recsys.control.rows import list_row_sets, read_chunks
from recsys.control.store import NotFoundError
from recsys.pipelines.input.errors import InputError, TooManyBadRowsError
from recsys.pipelines.input.files import find_input_files
from recsys.rows.body import BodyTooLargeError, MediaTypeError, load_body
from recsys.rows.columns import from_chunks
from recsys.rows.load import drop_rows, load_rows


def load(plane: ControlPlane, kind: RowKind, rows: list[dict[str, object]], **more: object) -> RowsLoaded:
    body = msgspec.json.Encoder().encode_lines(rows)
    arguments: dict[str, object] = {"scratch": Path("scratch"), "actor": "t"} | more
    return load_body(plane, "shop", kind, [body], "application/x-ndjson", **arguments)  # type: ignore[arg-type]


def stored(plane: ControlPlane) -> dict[tuple[str, str, str, str], list[dict[str, object]]]:
    with plane.read() as reader:
        return {
            (one.name.kind, one.name.surface or "", one.name.segment or "", str(one.name.day)): from_chunks(
                one.name.kind, read_chunks(reader, "shop", one)
            ).to_pylist()
            for one in list_row_sets(reader, "shop")
        }


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def popularity(day: str, item: str, count: float, segment: str | None = None) -> dict[str, object]:
    return {"surface": "home", "segment": segment, "day": day, "item_id": item, "count": count}


def test_a_day_is_replaced_and_other_days_stay(plane: ControlPlane) -> None:
    load(plane, "popularity", [popularity("2026-01-30", "a", 1), popularity("2026-01-31", "a", 2)])
    before = plane.generation()
    again = load(plane, "popularity", [popularity("2026-01-31", "b", 3), popularity("2026-01-31", "b", 4)])
    assert (again.sets, again.changed) == (1, 1)
    assert plane.generation() == before + 1
    assert stored(plane) == {
        ("popularity", "home", "default", "2026-01-30"): [{"item_id": "a", "count": 1.0}],
        ("popularity", "home", "default", "2026-01-31"): [{"item_id": "b", "count": 7.0}],
    }
    assert load(plane, "popularity", [popularity("2026-01-31", "b", 7)]).changed == 0
    assert plane.generation() == before + 1
    assert plane.verify().row_sets == 2


def test_merge_replaces_the_same_items_and_keeps_the_others(plane: ControlPlane) -> None:
    rows = [
        {"surface": "home", "day": "2026-01-31", "item_id": a, "neighbor_id": b, "count": 1}
        for a, b in ("ab", "ac", "ba")
    ]
    load(plane, "cooc", rows)
    for _ in range(2):
        load(plane, "cooc", [rows[1] | {"count": 5}, rows[1] | {"neighbor_id": "d"}], mode="merge")
    (found,) = stored(plane).values()
    assert [(r["item_id"], r["neighbor_id"], r["count"]) for r in found] == [
        ("a", "b", 1), ("a", "c", 5), ("a", "d", 1), ("b", "a", 1),
    ]  # fmt: skip
    load(plane, "catalog", [{"item_id": "a", "title": "old", "tags": ["x"]}, {"item_id": "b"}])
    load(plane, "catalog", [{"item_id": "a", "title": "new", "price": 2}], mode="merge")
    catalog = stored(plane)["catalog", "", "", "None"]
    assert [(r["item_id"], r["title"], r["tags"], r["price"]) for r in catalog] == [
        ("a", "new", None, 2.0), ("b", None, None, None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "rows", "problem"),
    [
        ("popularity", [popularity("2026-01-31", "a", n) for n in (1, -1)], "line 2: count is below 0"),
        ("popularity", [popularity("yesterday", "a", 1)], "line 1: day is 'yesterday'"),
        ("popularity", [popularity("2026-01-31", "", 1)], "line 1: item_id is empty"),
        ("popularity", [popularity("2026-01-31", "a", 1) | {"cuont": 1}], "line 1: unexpected field"),
        ("popularity", [popularity("2026-01-31", "a", 1) | {"surface": "a/b"}], "row 1: surface is 'a/b'"),
        ("popularity", [popularity("2026-01-31", "a", 1) | {"surface": "\u00e9" * 100}], "name of a folder"),
        ("popularity", [popularity("2026-01-31", "a", 1, "x" * 129)], "row 1: segment is 'xxx"),
        ("popularity", [popularity("2026-01-31", "a", 1e308)] * 2, "count: the rows of one item add up"),
        ("cooc", [{"surface": "home", "day": "2026-01-31", "item_id": "a"}], "neighbor_id is missing"),
        ("catalog", [{"item_id": "a"}, {"item_id": "b"}, {"item_id": "a"}], "row 3: item_id is 'a'"),
        ("catalog", [{"item_id": "a", "price": "dear"}], "line 1: Column(/price) changed"),
    ],
)  # fmt: skip
def test_bad_rows_are_named_and_nothing_is_loaded(
    plane: ControlPlane, kind: RowKind, rows: list[dict[str, object]], problem: str
) -> None:
    before = plane.generation()
    with pytest.raises(RecsysError) as caught:
        load(plane, kind, [*rows])
    assert problem in str(caught.value)
    assert "scratch" not in str(caught.value)
    assert plane.generation() == before
    assert stored(plane) == {}
    assert list(Path("scratch").iterdir()) == []


def test_bodies_are_bounded_typed_and_may_be_arrays_or_csv(plane: ControlPlane) -> None:
    rows = [popularity("2026-01-31", "a", 1)]
    common = {"scratch": Path("scratch"), "actor": "t"}
    as_csv = b"day,item_id,count\n2026-01-31,a,1\n"
    as_json = json.dumps(rows).encode()
    load_body(plane, "shop", "popularity", [as_json], "application/json; charset=utf-8", **common)
    first = stored(plane)
    done = load_body(
        plane, "shop", "popularity", [as_csv[:9], as_csv[9:]], "text/csv", surface="home", **common
    )
    assert done.changed == 0
    assert stored(plane) == first
    with pytest.raises(BodyTooLargeError, match="mode=merge"):
        load_body(plane, "shop", "popularity", [bytes(60)] * 2, "text/csv", max_bytes=100, **common)
    with pytest.raises(MediaTypeError, match="text/csv"):
        load_body(plane, "shop", "popularity", [as_csv], "text/plain", **common)
    for broken in (b"{}", b"[1]", b"[{", b"\xff", b"[" * 100_000):
        with pytest.raises(RecsysError):
            load_body(plane, "shop", "popularity", [broken], "application/json", **common)
    with pytest.raises(NotFoundError):
        load_body(plane, "nobody", "popularity", [as_csv], "text/csv", surface="home", **common)


def test_days_are_dropped_by_age_and_surface(plane: ControlPlane) -> None:
    rows = [popularity(f"2026-01-{day}", "a", 1) | {"surface": s} for day in (10, 20, 30) for s in "xy"]
    load(plane, "popularity", rows)
    load(plane, "catalog", [{"item_id": "a"}])
    day = next(iter(stored(plane)))
    assert day[0] == "catalog"
    from datetime import date

    assert drop_rows(plane, "shop", "popularity", surface="x", before=date(2026, 1, 20), actor="t") == 1
    assert drop_rows(plane, "shop", "popularity", before=date(2026, 1, 30), actor="t") == 3
    assert drop_rows(plane, "shop", "popularity", before=date(2026, 1, 30), actor="t") == 0
    assert [key[3] for key in stored(plane)] == ["None", "2026-01-30", "2026-01-30"]
    assert plane.verify().row_sets == 3


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["replace", "merge"]),
            st.lists(
                st.tuples(
                    st.integers(10, 12),
                    st.sampled_from("abc"),
                    st.sampled_from(["x", None]),
                    st.integers(0, 9),
                ),
                min_size=1,
                max_size=6,
            ),
        ),
        max_size=5,
    )
)
def test_loads_leave_what_a_dict_of_days_would_hold(
    plane: ControlPlane, loads: list[tuple[str, list[tuple[int, str, str | None, int]]]]
) -> None:
    drop_rows(plane, "shop", "popularity", actor="t")
    model: dict[tuple[str, str], dict[str, float]] = {}
    for mode, rows in loads:
        load(plane, "popularity", [popularity(f"2026-01-{d}", i, n, s) for d, i, s, n in rows], mode=mode)
        new: dict[tuple[str, str], dict[str, float]] = {}
        for day, item, segment, count in rows:
            items = new.setdefault((segment or "default", f"2026-01-{day}"), {})
            items[item] = items.get(item, 0) + count
        for place, items in new.items():
            model[place] = (model.get(place, {}) if mode == "merge" else {}) | items
    found = {
        (segment, day): {str(row["item_id"]): row["count"] for row in rows}
        for (_, _, segment, day), rows in stored(plane).items()
    }
    assert found == model
    assert plane.verify().row_sets == len(model)


def test_what_rows_lack_is_told_by_options_that_the_command_has(plane: ControlPlane, tmp_path: Path) -> None:
    file = tmp_path / "daily.csv"
    file.write_text("day,item_id,count\n2026-01-31,a,1\n")
    with pytest.raises(InputError, match="no column 'surface'") as told:
        load_rows(plane, "shop", "popularity", find_input_files([file]), actor="t")
    assert "--surface" in str(told.value)
    assert "--set" not in str(told.value)
    file.write_text("surface,day,item_id,count\nhome,2026-1-30,a,1\n")
    with pytest.raises(TooManyBadRowsError, match="day is '2026-1-30': expected a day, such as 2026-01-31"):
        load_rows(plane, "shop", "popularity", find_input_files([file]), actor="t")
