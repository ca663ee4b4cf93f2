"""Input that somebody damaged, or made to be misread: nothing is lost without a word, and nothing crashes."""

import json
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.pipelines.input.columns import CATALOG_COLUMNS, MAPPED_INTERACTION_COLUMNS
from recsys.pipelines.input.errors import InputError
from recsys.pipelines.input.files import find_input_files
from recsys.pipelines.input.mapping import ColumnMapping
from recsys.pipelines.input.quarantine import BadRow, BadRowLimit, Quarantine
from recsys.pipelines.input.reader import RowSource, read_rows

T = "2026-01-31T08:00:00Z"
ROW = {"ts": T, "session_id": "s", "item_id": "i"}


def read(
    path: Path, columns=MAPPED_INTERACTION_COLUMNS, mapping=None
) -> tuple[list[dict[str, object]], list[BadRow]]:
    """Return the good rows without their nulls, and the bad rows."""
    aside = path.with_suffix(".aside")
    source = RowSource(find_input_files([path]), columns, mapping)
    with Quarantine(aside, BadRowLimit(share=1.0)) as quarantine:
        tables = list(read_rows(source, quarantine, lambda _: None))
    lines = aside.read_bytes().splitlines() if aside.exists() else []
    bad = [msgspec.json.decode(line, type=BadRow) for line in lines]
    rows = [row for table in tables for row in table.to_pylist()]
    return [{name: value for name, value in row.items() if value is not None} for row in rows], bad


@settings(max_examples=60, deadline=None)
@given(
    open_lines=st.sets(st.integers(0, 60)),
    n_lines=st.integers(1, 60),
    ending=st.sampled_from(["\n", "\r\n"]),
    is_wanted=st.booleans(),
    has_last_ending=st.booleans(),
)
def test_quote_that_is_never_closed_costs_its_own_row_only(
    tmp_path_factory: pytest.TempPathFactory,
    open_lines: set[int],
    n_lines: int,
    ending: str,
    is_wanted: bool,
    has_last_ending: bool,
) -> None:
    path = tmp_path_factory.mktemp("quotes") / "items.csv"
    lines = ["item_id,title" if is_wanted else "item_id,note"]
    lines += [f'i{n},"x' if n in open_lines else f'i{n},"a ""b"", c"' for n in range(n_lines)]
    path.write_bytes((ending.join(lines) + ending * has_last_ending).encode())
    good, bad = read(path, CATALOG_COLUMNS)
    assert [row["item_id"] for row in good] == [f"i{n}" for n in range(n_lines) if n not in open_lines]
    assert [row.line for row in bad] == [2 + n for n in sorted(open_lines) if n < n_lines]
    assert all("a quote is not closed" in row.reason for row in bad)


def test_quote_left_open_in_a_large_file_costs_its_own_row_only(tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    lines = ["item_id,title", *(f"i{n},{'x' * 90}" for n in range(120_000))]
    lines[100] = 'i99,"open'
    path.write_text("\n".join(lines))
    good, bad = read(path, CATALOG_COLUMNS)
    assert len(good) == 119_999
    assert [(row.line, row.raw) for row in bad] == [(101, 'i99,"open')]


def test_quote_closed_inside_a_value_is_a_bad_row(tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    path.write_text('item_id,title\na,"x"y\nb,19" rack\nc,"two\nlines"\n')
    good, bad = read(path, CATALOG_COLUMNS)
    assert good == [{"item_id": "b", "title": '19" rack'}, {"item_id": "c", "title": "two\nlines"}]
    assert [row.line for row in bad] == [2]


def test_carriage_return_alone_ends_no_line(tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    path.write_bytes(b"item_id,title\ra,x\rb,y\r")
    with pytest.raises(InputError, match=r"items\.csv line 1: lines end in a carriage return alone"):
        read(path, CATALOG_COLUMNS)
    path.write_bytes(b"item_id,title\na,x\rb,y\nc,z\n")
    good, bad = read(path, CATALOG_COLUMNS)
    assert [row["item_id"] for row in good] == ["c"]
    assert [row.line for row in bad] == [2]


def test_blanks_are_a_value_and_keep_the_count_of_lines(tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    path.write_text("item_id\n  \na\n\n" + '""' + "\nb\n")
    good, bad = read(path, CATALOG_COLUMNS)
    assert [row["item_id"] for row in good] == ["  ", "a", "b"]
    assert [(row.line, row.reason) for row in bad] == [(5, "item_id is missing")]


def test_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    table = tmp_path / "items.csv"
    table.write_bytes(b"\xef\xbb\xbfitem_id,title\r\na,x\r\n")
    lines = tmp_path / "items.jsonl"
    lines.write_bytes(b'\xef\xbb\xbf{"item_id":"a","title":"x"}\r\n')
    assert (
        read(table, CATALOG_COLUMNS) == read(lines, CATALOG_COLUMNS) == ([{"item_id": "a", "title": "x"}], [])
    )


def test_other_encoding_is_an_error_that_says_so(tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    path.write_bytes("item_id,title\na,x\n".encode("utf-16"))
    with pytest.raises(InputError, match=r"items\.csv line 1: not text in UTF-8"):
        read(path, CATALOG_COLUMNS)


@pytest.mark.parametrize("name", ["rows.csv", "rows.csv.gz", "rows.csv.zst"])
def test_csv_file_without_a_byte_is_an_error(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.touch()
    with pytest.raises(InputError, match="empty, not even a header line"):
        read(path)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_two_columns_of_a_name_that_is_wanted_are_an_error(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"rows.{kind}"
    names = [*ROW, "item_id"]
    if kind == "csv":
        path.write_text(",".join(names) + f"\n{T},s,i,j\n")
    else:
        values = (T, "s", "i", "j")
        pq.write_table(pa.Table.from_arrays([pa.array([value]) for value in values], names=names), path)
    with pytest.raises(InputError, match="2 columns are called 'item_id'"):
        read(path)


def test_column_mapped_to_a_key_that_no_json_record_has_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(ROW) + "\n" + json.dumps(ROW | {"kind": "evnt"}) + "\n")
    with pytest.raises(
        InputError, match=r"rows\.jsonl: no column 'evnt' \(our event_type\); no record has one"
    ):
        read(path, mapping=ColumnMapping(columns={"event_type": "evnt"}))
    with pytest.raises(InputError, match=r"no column 'sku' \(our item_id\)"):
        read(path, mapping=ColumnMapping(columns={"item_id": "sku"}))
    # One record with the key will do, and so will a key without a value.
    good, _ = read(path, mapping=ColumnMapping(columns={"event_type": "kind"}))
    assert good == [ROW | {"ts": 1769846400000}, ROW | {"ts": 1769846400000, "event_type": "evnt"}]
    path.write_text(json.dumps(ROW | {"kïnd": None}) + "\n")
    assert read(path, mapping=ColumnMapping(columns={"event_type": "kïnd"}))[1] == []


@pytest.mark.parametrize("line", ["null", "5", '"x"', "[null]", "  null"])
def test_json_that_is_no_object_is_a_bad_row_wherever_it_stands(tmp_path: Path, line: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join([line, json.dumps(ROW), line, "  " + json.dumps(ROW), line]))
    good, bad = read(path)
    assert len(good) == 2
    assert [(row.line, row.reason) for row in bad] == [(n, "not a JSON object") for n in (1, 3, 5)]


@pytest.mark.parametrize(
    ("column", "values", "reason"),
    [
        ("item_id", pa.array([True]), "item_id is True: expected a string or an integer"),
        ("item_id", pa.array([1.0]), "item_id is 1.0: expected a string or an integer"),
        ("item_id", pa.array([[1]]), "item_id is [1]: expected a string or an integer"),
        ("item_id", pa.array([5], pa.decimal128(10, 2)), "item_id is Decimal('5.00'): expected a string"),
        ("item_id", pa.array([b"\xff"]), r"item_id is b'\xff': expected a string"),
        ("value", pa.array([True]), "value is True: expected a number"),
        ("value", pa.array([float("nan")]), "value is not finite"),
        ("value", pa.array(["1,5"]), "value is '1,5': expected a number"),
        ("ts", pa.array([20_000], pa.duration("s")), "ts is datetime.timedelta"),
        ("ts", pa.array([2**62], pa.timestamp("us", "UTC")), "ts is '4611686018427387904 as timestamp[us"),
        ("ts", pa.array(["0000-12-31T00:00:00Z"]), "ts is '0000-12-31T00:00:00Z': expected a time"),
        ("ts", pa.array([5]), "ts is 5: expected a time with a zone"),
    ],
)
def test_parquet_column_of_another_type_is_bad_rows(
    tmp_path: Path, column: str, values: pa.Array, reason: str
) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({name: [value] for name, value in ROW.items()} | {column: values}), path)
    good, bad = read(path)
    assert good == []
    assert [row.line for row in bad] == [1]
    assert bad[0].reason.startswith(reason)


def test_integer_over_2_to_the_53_is_a_number_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({name: [value] for name, value in ROW.items()} | {"value": [2**62 + 1]}), path)
    assert read(path)[0][0]["value"] == 2.0**62


def test_time_out_of_range_says_which_unit_it_was_read_in(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("ts,session_id,item_id\n1769846400000,s,i\n253402300799,s,i\n")
    good, bad = read(path, mapping=ColumnMapping(time_unit="s"))
    assert [row["ts"] for row in good] == [253_402_300_799_000]
    assert [row.reason for row in bad] == [
        "ts is '1769846400000': expected a number of s since 1970, in the years 1 to 9999"
    ]


def test_stray_quotes_do_not_cut_values_at_the_borders_of_blocks(tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    values = [f'{n}" rack {"x" * 80}' if n % 7 else f'"two\nlines, {"y" * 90}"' for n in range(100_000)]
    path.write_text("item_id,title\n" + "".join(f"i{n},{value}\n" for n, value in enumerate(values)))
    good, bad = read(path, CATALOG_COLUMNS)
    assert bad == []
    assert [row["item_id"] for row in good] == [f"i{n}" for n in range(100_000)]
    assert [row["title"] for row in good] == [value.strip('"') for value in values]
