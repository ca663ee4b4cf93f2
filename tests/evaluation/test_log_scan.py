"""The native scanner against the contracts' strict types: it may doubt a line, but accepts no wrong one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from recsys._native import LogScanner
from recsys.contracts.records import Assignment, Exposure, Outcome, RankList
from recsys.evaluation.findings import Defect
from recsys.evaluation.inputs import Role, Source
from recsys.evaluation.log_blocks import DamagedFileError, read_ahead
from recsys.evaluation.log_scan import Scan
from recsys.evaluation.validate_records import Record, find_defects

USER = "0123456789abcdef" * 4
OLDEST, NEWEST = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
IDS = {"request_id": "r", "user_id": USER, "ts": "2026-01-01T10:00:00.5+01:00"}
LINES: dict[Role, tuple[type[Record], dict[str, object]]] = {
    "exposures": (
        Exposure,
        {
            **IDS,
            "items": [{"item_id": "a", "rank": 1, "propensity": 0.5, "x": [1]}, {"item_id": "b", "rank": 2}],
            "context": {"surface": "home", "now": "2026"},
            "latency_ms": 1.5,
            "error": False,
        },
    ),
    "outcomes": (Outcome, {**IDS, "item_id": "a", "event_type": "click", "value": 2}),
    "assignments": (Assignment, {**IDS, "experiment_id": "x", "variant": "B", "context": {}}),
    "ranklists": (RankList, {**IDS, "items": ["a", "b"], "context": None}),
}
PIECES = [
    b"null", b"0", b"-1", b"1e999", b"NaN", b"1.0", b"true", b'""', b'"a"', b"[]", b"{}", b",", b"}", b"]",
    b'"', b"\\ud800", b"\\u0000", b"\xff", b"\xc3\xa9", b"\x00", b"\n", b"9",
    b"99999999999999999999", b"Z", b"+24:00", b" ",
]  # fmt: skip


def scanner(role: Role) -> LogScanner:
    bounds = ((moment - EPOCH) // timedelta(microseconds=1) for moment in (OLDEST, NEWEST))
    return LogScanner(role, oldest_us=next(bounds), newest_us=next(bounds), with_names=True)


@pytest.mark.parametrize("role", LINES)
def test_sound_line_is_not_doubted(role: Role) -> None:
    lines, doubts, _, pieces = scanner(role).scan(json.dumps(LINES[role][1]).encode())
    assert (lines, doubts, len(pieces)) == (1, [], 1)


@settings(max_examples=600, deadline=None)
@given(
    role=st.sampled_from(list(LINES)),
    edits=st.lists(
        st.tuples(st.integers(0, 400), st.integers(0, 6), st.sampled_from(PIECES)), min_size=1, max_size=3
    ),
)
@example(role="exposures", edits=[(0, 1, b"[")])
def test_scanner_accepts_nothing_that_the_contracts_refuse(
    role: Role, edits: list[tuple[int, int, bytes]]
) -> None:
    wanted, record = LINES[role]
    line = json.dumps(record).encode()
    for start, length, piece in edits:
        line = line[:start] + piece + line[start + length :]
    n_lines, doubts, _, _ = scanner(role).scan(line)
    doubtful = {number: is_kept for number, _, _, is_kept in doubts}
    for number, text in enumerate(line.split(b"\n")[:n_lines]):
        if doubtful.get(number, True):
            found = msgspec.json.decode(text, type=wanted)
            defects = list(find_defects(found, OLDEST, NEWEST))
            assert number in doubtful or not defects


class Notes:
    """An inspector that keeps what it is told."""

    def __init__(self) -> None:
        self.records: list[int] = []
        self.defects: list[tuple[int, str]] = []

    def look_at(self, source: Source, number: int, record: Record) -> None:
        self.records.append(number)

    def look_into(self, source: Source, number: int, defect: Defect) -> None:
        self.defects.append((number, defect.kind))


def read(path: Path, role: Role = "exposures") -> tuple[pa.Table, Notes]:
    notes, contexts = Notes(), []
    scan = Scan(notes, contexts.extend, OLDEST, NEWEST, True)
    batches = list(scan.read(role, [Source(role, path.name, path)], lambda _: None))
    return pa.Table.from_batches(batches), notes


def test_record_that_only_the_contracts_accept_is_among_the_rows(tmp_path: Path) -> None:
    usual = json.dumps(LINES["exposures"][1]) + "\n"
    unusual = usual.replace("10:00:00.5+01:00", "09:00:00.500000000Z")
    assert unusual != usual
    ancient = usual.replace("2026-01-01", "0099-01-01")
    huge = usual.replace('"rank": 2', f'"rank": {2**64}')
    (tmp_path / "e.jsonl").write_text(usual + unusual + ancient + huge)
    rows, notes = read(tmp_path / "e.jsonl")
    assert rows.slice(0, 1).equals(rows.slice(1, 1))
    assert (rows.num_rows, notes.records) == (2, [2, 3, 4])
    assert notes.defects == [(3, "wrong_value"), (4, "wrong_value")]


def test_parquet_gives_the_same_rows_as_lines(tmp_path: Path) -> None:
    record = {**LINES["exposures"][1], "items": [{"item_id": "a", "rank": 1, "propensity": 0.1}]}
    records = [record, {**record, "request_id": "line\nbreak \u00e9"}, {**record, "context": None}]
    (tmp_path / "e.jsonl").write_text("".join(json.dumps(each) + "\n" for each in records))
    expected, _ = read(tmp_path / "e.jsonl")
    table = pa.Table.from_pylist(records)
    times = pa.array([datetime(2026, 1, 1, 9, 0, 0, 500_000, tzinfo=UTC)] * 3, pa.timestamp("us", "UTC"))
    shapes = {
        "text": table,
        "times": table.set_column(2, "ts", times),
        "ns": table.set_column(2, "ts", times.cast(pa.timestamp("ns", "Europe/Berlin"))),
        "more": table.append_column("unknown", pa.nulls(3)),
    }
    for name, shape in shapes.items():
        pq.write_table(shape, tmp_path / f"{name}.parquet")
        rows, notes = read(tmp_path / f"{name}.parquet")
        assert rows.equals(expected), name
        assert (notes.records, notes.defects) == ([], [])


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(1, 50), min_size=1, max_size=5), last_newline=st.booleans())
def test_blocks_are_whole_lines_wherever_the_reads_end(
    tmp_path: Path, cuts: list[int], last_newline: bool
) -> None:
    from recsys.evaluation import log_blocks

    text = b"".join(b"x" * cut + b"\n" for cut in cuts)
    text = text if last_newline else text[:-1]
    (tmp_path / "f.jsonl").write_bytes(text)
    usual, log_blocks.BLOCK_BYTES = log_blocks.BLOCK_BYTES, 7
    try:
        blocks = list(log_blocks.read_blocks(tmp_path / "f.jsonl"))
    finally:
        log_blocks.BLOCK_BYTES = usual
    assert b"".join(blocks) == text
    assert all(block.endswith(b"\n") for block in blocks[:-1])


def test_blocks_read_ahead_keep_their_order_and_tell_of_the_damage_after_what_stands_before_it() -> None:
    made: list[int] = []

    def blocks() -> Iterator[int]:
        for number in (1, 2, 3):
            made.append(number)
            yield number
        raise DamagedFileError("corrupt_file", "cut")

    got = []
    with pytest.raises(DamagedFileError, match="cut"):  # noqa: PT012 - what came before counts
        for number in read_ahead(blocks()):
            got.append(number)
    assert got == [1, 2, 3]
    made.clear()
    ahead = read_ahead(blocks())
    assert next(ahead) == 1
    ahead.close()
    assert made in ([1], [1, 2])
