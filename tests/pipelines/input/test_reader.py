"""Reading rows: the same rows from every format, and every bad one put aside with file, line and reason."""

import gzip
import json
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.contracts.errors import UsageError
from recsys.pipelines.input.columns import CATALOG_COLUMNS, INTERACTION_COLUMNS, MAPPED_INTERACTION_COLUMNS
from recsys.pipelines.input.errors import InputError, TooManyBadRowsError
from recsys.pipelines.input.files import find_input_files
from recsys.pipelines.input.mapping import ColumnMapping, load_mapping, merge_options
from recsys.pipelines.input.quarantine import BadRow, BadRowLimit, Quarantine
from recsys.pipelines.input.reader import RowSource, read_rows

ROW = {
    "v": 1,
    "ts": "2026-01-31T08:00:00Z",
    "tenant": "demo",
    "surface": "home",
    "session_id": "s1",
    "item_id": "i1",
}
ALL_ROWS = BadRowLimit(share=1.0)


def read(path: Path, columns, mapping=None, *, closed=False, limit=ALL_ROWS):
    """Return the good rows as dicts and the bad rows, of a file."""
    quarantined = path.parent / "bad.jsonl.out"
    source = RowSource(find_input_files([path]), columns, mapping, closed=closed)
    read_bytes = []
    with Quarantine(quarantined, limit) as quarantine:
        tables = list(read_rows(source, quarantine, read_bytes.append))
        quarantine.check()
    assert sum(read_bytes) == source.total_bytes
    good = [
        {name: value for name, value in row.items() if value is not None}
        for table in tables
        for row in table.to_pylist()
    ]
    assert quarantine.rows == len(good) + quarantine.bad
    lines = quarantined.read_bytes().splitlines() if quarantined.exists() else []
    return good, [msgspec.json.decode(line, type=BadRow) for line in lines]


def interactions(path: Path, **options):
    return read(path, INTERACTION_COLUMNS, closed=True, **options)


def write_lines(path: Path, rows) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(
    "name", ["rows.jsonl", "rows.jsonl.gz", "rows.jsonl.zst", "rows.csv", "rows.csv.gz", "rows.parquet"]
)
def test_every_format_gives_the_same_rows(tmp_path: Path, name: str) -> None:
    rows = [ROW | {"item_id": f"i{n}", "rank": n, "value": n / 2, "event_type": "click"} for n in range(1000)]
    table = pa.Table.from_pylist(rows)
    path = tmp_path / name
    if name.endswith(".parquet"):
        pq.write_table(table, path)
    else:
        plain = tmp_path / "plain"
        if ".csv" in name:
            pa_csv.write_csv(table, plain)
        else:
            write_lines(plain, rows)
        compression = {".gz": "gzip", ".zst": "zstd"}.get(path.suffix)
        with pa.output_stream(str(path), compression=compression) as out:
            out.write(plain.read_bytes())
    good, bad = interactions(path)
    assert bad == []
    assert good == [row | {"ts": 1769846400000} for row in rows]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"v": 1', "Missing a comma or '}' after an object member."),
        ("[1, 2]", "not a JSON object"),
        (json.dumps(ROW | {"item_id": ""}), "item_id is empty"),
        (json.dumps(ROW | {"item_id": None}), "item_id is missing"),
        (json.dumps(ROW | {"item_id": 7}), "Column(/item_id) changed from string to number"),
        (json.dumps(ROW | {"v": 2}), "v is not 1"),
        (json.dumps(ROW | {"rank": -1}), "rank is below 0"),
        (json.dumps(ROW | {"colour": "red"}), "unexpected field"),
        (json.dumps(ROW) * 2, "more or less than one row"),
        (
            json.dumps(ROW | {"ts": "2026-01-31T08:00:00"}),
            "ts is '2026-01-31T08:00:00': expected a time with a zone, such as 2026-01-31T08:00:00Z "
            "(--timezone says that of the others)",
        ),
    ],
)
def test_bad_json_row_names_file_line_and_reason(tmp_path: Path, line: str, reason: str) -> None:
    path = write_lines(tmp_path / "rows.jsonl", [ROW, "", ROW, line, ROW])
    good, bad = interactions(path)
    assert len(good) == 3
    assert bad == [BadRow(str(path), 4, reason, line)]


def test_a_time_where_the_zone_is_given_is_not_asked_for_one(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "items.csv", ["item_id,created_at", "a,2026-01-31 08:00", "b,31.01.2026"])
    rows, bad = read(path, CATALOG_COLUMNS, ColumnMapping(timezone="Europe/Berlin"))
    assert [row["item_id"] for row in rows] == ["a"]
    assert "in Europe/Berlin, 2026-01-31 08:00" in bad[0].reason
    assert "with a zone" not in bad[0].reason


def test_bad_utf8_is_a_bad_row(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(
        json.dumps(ROW).encode() + b"\n" + json.dumps(ROW).encode().replace(b"i1", b"\xff\xfe") + b"\n"
    )
    good, bad = interactions(path)
    assert len(good) == 1
    assert [(row.line, "UTF8" in row.reason) for row in bad] == [(2, True)]


def test_bad_csv_rows_are_found_by_line_even_behind_quoted_line_breaks(tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    path.write_text('item_id,title,price\na,"two\nlines",1.5\nb,x\nc,"say ""hi""",cheap\n\nd,,\n')
    good, bad = read(path, CATALOG_COLUMNS)
    assert [row["item_id"] for row in good] == ["a", "d"]
    assert good[0]["title"] == "two\nlines"
    assert "price" not in good[1]
    assert [(row.line, row.reason) for row in bad] == [
        (4, "Expected 3 columns, got 2: b,x"),
        (5, "price is 'cheap': expected a number"),
    ]


def test_stray_quote_costs_no_other_row(tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    path.write_text('item_id,title\na,5" pipe\nb\nc,plain\n')
    good, bad = read(path, CATALOG_COLUMNS)
    assert [row["item_id"] for row in good] == ["a", "c"]
    assert [row.line for row in bad] == [3]


def test_bad_parquet_row_is_named_by_its_row_number(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.Table.from_pylist([ROW, ROW | {"item_id": None}]), path)
    good, bad = interactions(path)
    assert len(good) == 1
    assert [(row.line, row.reason) for row in bad] == [(2, "item_id is missing")]
    assert json.loads(bad[0].raw)["session_id"] == "s1"


def test_mapping_brings_foreign_columns_numbers_and_local_times(tmp_path: Path) -> None:
    path = tmp_path / "sales.parquet"
    pq.write_table(
        pa.table(
            {
                "when": pa.array([1735689600000], pa.timestamp("ms")),
                "basket": [77],
                "product": [5],
                "noise": [None],
            }
        ),
        path,
    )
    mapping = merge_options(
        None,
        columns=["ts=when", "session_id=basket", "item_id=product"],
        constants=["tenant=shop"],
        timezone="America/New_York",
    )
    good, bad = read(path, MAPPED_INTERACTION_COLUMNS, mapping)
    assert bad == []
    assert good == [
        {"ts": 1735689600000 + 5 * 3600_000, "tenant": "shop", "session_id": "77", "item_id": "5"}
    ]


def test_times_as_numbers_need_a_unit(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "rows.jsonl", [{"ts": 1735689600, "session_id": "s", "item_id": 3}])
    _, bad = read(path, MAPPED_INTERACTION_COLUMNS, ColumnMapping())
    assert [row.reason[:9] for row in bad] == ["ts is 173"]
    good, _ = read(path, MAPPED_INTERACTION_COLUMNS, ColumnMapping(time_unit="s"))
    assert good == [{"ts": 1735689600000, "session_id": "s", "item_id": "3"}]


def test_catalog_takes_tags_as_list_or_text_and_far_dates(tmp_path: Path) -> None:
    listed = write_lines(tmp_path / "a.jsonl", [{"item_id": "a", "tags": ["x", "y"], "available": True}])
    texts = write_lines(
        tmp_path / "b.csv", ["item_id,tags,available,valid_until", "a,x;y,no,9999-12-31T00:00:00Z"]
    )
    mapping = ColumnMapping(tag_separator=";")
    assert read(listed, CATALOG_COLUMNS, mapping)[0] == [
        {"item_id": "a", "tags": ["x", "y"], "available": True}
    ]
    (row,) = read(texts, CATALOG_COLUMNS, mapping)[0]
    assert (row["tags"], row["available"], row["valid_until"]) == (["x", "y"], False, 253402214400000)


def test_missing_column_names_the_file_and_what_it_has(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "rows.csv", ["ts,sku", "2026-01-01T00:00:00Z,a"])
    with pytest.raises(
        InputError, match=r"rows\.csv: no column 'session_id', 'item_id'; the columns are ts, sku; map"
    ):
        read(path, MAPPED_INTERACTION_COLUMNS, ColumnMapping())


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_a_file_with_another_separator_is_told_so(tmp_path: Path, separator: str) -> None:
    path = write_lines(tmp_path / "rows.csv", [f"ts{separator}sku", f"2026-01-01T00:00:00Z{separator}a"])
    with pytest.raises(InputError, match=r"separates nothing here, save it with commas"):
        read(path, MAPPED_INTERACTION_COLUMNS, ColumnMapping())


def test_an_optional_column_that_was_mapped_must_be_there(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "items.csv", ["item_id", "a"])
    with pytest.raises(InputError, match=r"items\.csv: no column 'nmae' \(our title\)"):
        read(path, CATALOG_COLUMNS, ColumnMapping(columns={"title": "nmae"}))


def test_unknown_column_is_refused_without_a_mapping(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.Table.from_pylist([ROW | {"colour": "red"}]), path)
    with pytest.raises(InputError, match="unknown column 'colour'"):
        interactions(path)


@pytest.mark.parametrize("name", ["rows.jsonl.gz", "rows.parquet"])
def test_damaged_file_is_an_error_that_names_it(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    whole = gzip.compress(
        b"".join(json.dumps(ROW | {"item_id": str(n)}).encode() + b"\n" for n in range(500))
    )
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=name):
        interactions(path)


def test_run_fails_past_the_limit_and_names_the_first_bad_row(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "rows.jsonl", [ROW] * 98 + ["{", "{"])
    assert len(interactions(path, limit=BadRowLimit.parse("2%"))[1]) == 2
    assert len(interactions(path, limit=BadRowLimit.parse("2"))[1]) == 2
    with pytest.raises(
        TooManyBadRowsError, match=r"2 of 100 rows are bad, over the limit of 1 %; the first is .* line 99"
    ):
        interactions(path, limit=BadRowLimit.parse("1%"))
    with pytest.raises(TooManyBadRowsError):
        interactions(path, limit=BadRowLimit.parse("1"))


@pytest.mark.parametrize("text", ["many", "-1", "101%", "1.5", ""])
def test_limit_that_is_neither_share_nor_count_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--max-bad-rows"):
        BadRowLimit.parse(text)


def test_quarantine_of_an_earlier_run_is_removed(tmp_path: Path) -> None:
    stale = tmp_path / "bad.jsonl.out"
    stale.write_text("old")
    interactions(write_lines(tmp_path / "rows.jsonl", [ROW]))
    assert not stale.exists()


@settings(max_examples=60, deadline=None)
@given(bad_lines=st.sets(st.integers(0, 299)), ending=st.sampled_from(["\n", "\r\n", "\n\n"]))
def test_exactly_the_bad_lines_are_put_aside(
    tmp_path_factory: pytest.TempPathFactory, bad_lines: set[int], ending: str
) -> None:
    path = tmp_path_factory.mktemp("salvage") / "rows.jsonl"
    text = [json.dumps(ROW | {"item_id": f"i{n}"}) if n not in bad_lines else '{"v":' for n in range(300)]
    path.write_bytes((ending.join(text) + ending).encode())
    good, bad = interactions(path)
    step = ending.count("\n")
    assert [row["item_id"] for row in good] == [f"i{n}" for n in range(300) if n not in bad_lines]
    assert [row.line for row in bad] == [1 + step * n for n in sorted(bad_lines)]


def test_blocks_keep_rows_and_lines_whole_across_their_borders(tmp_path: Path) -> None:
    padding = "x" * 1000
    rows = ["item_id,title", *(f'i{n},"{padding}\n{padding}"' for n in range(5000)), "last"]
    good, bad = read(write_lines(tmp_path / "items.csv", rows), CATALOG_COLUMNS)
    assert [row["item_id"] for row in good] == [f"i{n}" for n in range(5000)]
    assert [row.line for row in bad] == [10_002]


def test_folder_glob_and_file_are_found_once_in_order(tmp_path: Path) -> None:
    for name in ("b.jsonl", "a.csv", "_ignored.csv", "note.txt", "deep/c.parquet"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = find_input_files([tmp_path, tmp_path / "*.jsonl", tmp_path / "a.csv"])
    assert [file.path.name for file in found] == ["a.csv", "b.jsonl", "c.parquet"]


@pytest.mark.parametrize("name", ["absent.csv", "*.csv", "note.txt", "empty"])
def test_path_that_stands_for_nothing_readable_is_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "note.txt").touch()
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"no such file|no file matches|does not end in|in this folder"):
        find_input_files([tmp_path / name])


def test_mapping_file_is_read_and_its_mistakes_are_named(tmp_path: Path) -> None:
    path = tmp_path / "map.toml"
    path.write_text('timezone = "UTC"\n[columns]\nitem_id = "sku"\n')
    assert load_mapping(path) == ColumnMapping(columns={"item_id": "sku"}, timezone="UTC")
    path.write_text("[column]\n")
    with pytest.raises(InputError, match=r"map\.toml: .*`column`"):
        load_mapping(path)
    with pytest.raises(InputError, match="no column 'sku'"):
        ColumnMapping(columns={"sku": "item_id"}).check(["item_id"])
    with pytest.raises(UsageError, match="--map item_id"):
        merge_options(None, columns=["item_id"])
