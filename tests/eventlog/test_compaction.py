"""Compaction, shipping, retention and erasure: no record lost and none twice, wherever a run is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import obstore
import pyarrow.parquet as pq
import pytest

from recsys.contracts.errors import RecsysError
from recsys.eventlog import journal
from recsys.eventlog.compaction import compact_logs
from recsys.eventlog.layout import compacted_files, live_parts
from recsys.eventlog.listing import list_logs
from recsys.eventlog.parts import PartWriter, is_closed
from recsys.eventlog.retention import erase_compacted, remove_old
from recsys.eventlog.shipping import ShippingError, ship_logs

DAY = datetime(2026, 1, 31, 12, tzinfo=UTC)
OLD = "20260131T000000.000Z-00000001"
USERS = [f"{number:064x}" for number in range(4)]


def exposure(number: int, **context: str) -> dict:
    return {
        "request_id": f"r{number}",
        "user_id": USERS[number % 4],
        "ts": (DAY + timedelta(hours=6 * number)).isoformat(),
        "items": [{"item_id": "i1", "rank": 1, "propensity": 0.5, "team": "a", "own": {"x": 1}}],
        "context": {"tenant_id": "demo", "surface": "home" if number % 2 else "a b/c"} | context,
        "latency_ms": 1.5,
        "error": False,
    }


def outcome(number: int) -> dict:
    return {
        "request_id": f"r{number}",
        "user_id": USERS[number % 4],
        "item_id": "i1",
        "event_type": "click",
        "ts": (DAY + timedelta(hours=6 * number, minutes=1)).isoformat(),
    }


def write_part(folder: Path, records: list[dict], number: int = 0, tail: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{OLD}-{number:06d}.jsonl"
    part.write_text("".join(json.dumps(record) + "\n" for record in records) + tail)
    return part


def fill(logs: Path, n_records: int = 12) -> None:
    for number in range(3):
        chosen = range(number, n_records, 3)
        write_part(logs / "exposures", [exposure(n) for n in chosen], number)
        write_part(logs / "outcomes" / "tenant=demo", [outcome(n) for n in chosen], number)


def request_ids(log: Path) -> Counter[str]:
    """What a reader of the whole folder sees."""
    found: Counter[str] = Counter()
    for _, path in compacted_files(log):
        found.update(pq.read_table(path, partitioning=None).column("request_id").to_pylist())
    for _, path in live_parts(log):
        found.update(json.loads(line)["request_id"] for line in path.read_text().splitlines())
    return found


def compact(logs: Path) -> list:
    return compact_logs(logs, now=time.time())


def test_records_are_compacted_by_tenant_surface_and_day_and_come_back_whole(tmp_path: Path) -> None:
    fill(tmp_path)
    exposures, outcomes = compact(tmp_path)
    assert (exposures.parts, exposures.records, outcomes.records) == (3, 12, 12)
    partitions = {partition for partition, _ in compacted_files(tmp_path / "exposures")}
    assert {(one.tenant, one.surface) for one in partitions} == {("demo", "home"), ("demo", "a b/c")}
    assert {one.day for one in partitions} == {date(2026, 1, 31) + timedelta(days=n) for n in range(4)}
    assert {partition for partition, _ in compacted_files(tmp_path / "outcomes")} == partitions
    assert not list(live_parts(tmp_path / "exposures"))
    rows = [
        row
        for _, path in compacted_files(tmp_path / "exposures")
        for row in pq.read_table(path, partitioning=None).to_pylist()
    ]
    first = next(row for row in rows if row["request_id"] == "r0")
    wanted = exposure(0)
    assert first["ts"] == datetime.fromisoformat(wanted["ts"])
    assert dict(first["context"]) == wanted["context"]
    (item,) = first["items"]
    assert (item["item_id"], item["rank"], item["propensity"], item["team"]) == ("i1", 1, 0.5, "a")
    assert json.loads(item["own"]) == {"x": 1}
    assert (
        pq.ParquetFile(next(iter(compacted_files(tmp_path / "outcomes")))[1])
        .metadata.row_group(0)
        .column(0)
        .compression
        == "ZSTD"
    )


def test_a_surface_that_no_folder_can_be_called_by_stops_nothing(tmp_path: Path) -> None:
    write_part(tmp_path / "exposures", [exposure(0, surface="\u00e9" * 150), exposure(1)])
    compact(tmp_path)
    partitions = {partition for partition, _ in compacted_files(tmp_path / "exposures")}
    assert {one.surface for one in partitions} == {"_unknown", "home"}
    assert request_ids(tmp_path / "exposures") == Counter({"r0": 1, "r1": 1})


def test_evaluation_reads_the_folder_as_before(tmp_path: Path) -> None:
    from recsys.evaluation.joins import join_logs

    fill(tmp_path)
    paths = [str(tmp_path / "exposures")], [str(tmp_path / "outcomes")]
    before = join_logs(*paths)
    compact(tmp_path)
    after = join_logs(*paths)
    assert after.counts == before.counts
    assert after.items.equals(before.items)
    assert after.requests.equals(before.requests)


def test_a_part_that_is_still_written_to_is_left_alone(tmp_path: Path) -> None:
    then = time.time() - 60
    writer = PartWriter(tmp_path / "exposures", clock=lambda: then)
    writer.append(json.dumps(exposure(0)).encode() + b"\n")
    (part,) = (path for _, path in live_parts(tmp_path / "exposures"))
    assert not is_closed(part, time.time())
    assert compact(tmp_path)[0].parts == 0
    # One hour on the writer would begin another part before its next line.
    assert is_closed(part, time.time() + 3700)
    writer.close()
    assert is_closed(part, time.time())
    assert compact(tmp_path)[0].records == 1


def test_a_part_whose_writer_was_killed_is_closed_and_its_torn_line_kept_aside(tmp_path: Path) -> None:
    write_part(tmp_path / "exposures", [exposure(0)], tail='{"request_id": "r1", "user')
    (done,) = compact(tmp_path)
    assert (done.records, done.bad_lines) == (1, 1)
    (aside,) = (tmp_path / "exposures" / ".compaction" / "bad").iterdir()
    assert aside.read_text() == '{"request_id": "r1", "user\n'


def test_equal_outcomes_are_one(tmp_path: Path) -> None:
    write_part(tmp_path / "outcomes" / "tenant=demo", [outcome(0), outcome(0), outcome(1)])
    (done,) = compact(tmp_path)
    assert (done.records, done.duplicates) == (2, 1)
    (partition, _), *_ = compacted_files(tmp_path / "outcomes")
    assert partition.surface == "_unknown"


class KilledError(BaseException):
    """Stands for the end of the process at a system call."""


def die_after(calls: int, monkeypatch: pytest.MonkeyPatch, end: Callable[[], None]) -> None:
    """Let the process end at a system call of compaction or shipping, after so many."""
    left = iter(range(calls))

    def dying(real: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **named: object) -> object:
            if next(left, None) is None:
                end()
            return real(*arguments, **named)

        return call

    for module, name in ((os, "fsync"), (Path, "replace"), (Path, "unlink"), (obstore, "put")):
        monkeypatch.setattr(module, name, dying(getattr(module, name)))


def end_here() -> None:
    raise KilledError


def check_compacted(logs: Path) -> None:
    # Between commit and end a record may be there twice, never not at all.
    for log in ("exposures", "outcomes"):
        assert set(request_ids(logs / log)) == {f"r{n}" for n in range(6)}
    compact(logs)
    for log in ("exposures", "outcomes"):
        assert request_ids(logs / log) == Counter(f"r{n}" for n in range(6))
        assert not list((logs / log).rglob("*.tmp"))
        assert not list((logs / log / journal.FOLDER).glob("*.json"))


def check_shipped(logs: Path) -> None:
    store = Path(f"{logs}-store")
    ship_logs(logs, f"file://{store}")
    local = {p.relative_to(logs): p.read_bytes() for log in logs.iterdir() for _, p in compacted_files(log)}
    assert {p.relative_to(store): p.read_bytes() for p in store.rglob("*.parquet")} == local
    assert ship_logs(logs, f"file://{store}").files == 0


def test_a_compaction_ended_anywhere_loses_nothing_and_the_next_run_leaves_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for calls in range(1, 60, 3):
        logs = tmp_path / str(calls)
        fill(logs, 6)
        with monkeypatch.context() as patched:
            die_after(calls, patched, end_here)
            try:
                compact(logs)
            except KilledError:
                is_ended = True
            else:
                is_ended = False
        check_compacted(logs)
        if not is_ended:
            return
    raise AssertionError("no run came to its end")


def test_shipping_ended_anywhere_leaves_each_file_once_in_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for calls in range(0, 60, 3):
        logs = tmp_path / str(calls)
        fill(logs, 4)
        compact(logs)
        with monkeypatch.context() as patched:
            die_after(calls, patched, end_here)
            try:
                ship_logs(logs, f"file://{logs}-store")
            except KilledError:
                is_ended = True
            else:
                is_ended = False
        check_shipped(logs)
        if not is_ended:
            return
    raise AssertionError("no run came to its end")


KILLED = """
import os, signal, sys, time
from pathlib import Path
import pytest
sys.path.insert(0, sys.argv[4])
from test_compaction import compact, die_after, ship_logs
with pytest.MonkeyPatch.context() as patched:
    die_after(int(sys.argv[3]), patched, lambda: os.kill(os.getpid(), signal.SIGKILL))
    logs = Path(sys.argv[2])
    compact(logs) if sys.argv[1] == "compact" else ship_logs(logs, f"file://{logs}-store")
"""


@pytest.mark.slow
@pytest.mark.parametrize(("command", "calls"), [("compact", 9), ("ship", 6)])
def test_a_killed_process_is_no_different(tmp_path: Path, command: str, calls: int) -> None:
    logs = tmp_path / "logs"
    fill(logs, 6)
    if command == "ship":
        compact(logs)
    arguments = [sys.executable, "-c", KILLED, command, str(logs), str(calls), str(Path(__file__).parent)]
    done = subprocess.run(arguments, check=False, timeout=120, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    check_compacted(logs)
    check_shipped(logs)


def test_a_name_in_the_store_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    logs, store = tmp_path / "logs", tmp_path / "store"
    fill(logs, 1)
    compact(logs)
    path = next(iter(compacted_files(logs / "exposures")))[1]
    foreign = store / path.relative_to(logs)
    foreign.parent.mkdir(parents=True)
    foreign.write_bytes(b"foreign")
    with pytest.raises(ShippingError, match="another object of this name"):
        ship_logs(logs, f"file://{store}")
    assert foreign.read_bytes() == b"foreign"


def test_old_days_go_and_what_is_nowhere_else_can_be_kept(tmp_path: Path) -> None:
    logs, url = tmp_path / "logs", f"file://{tmp_path / 'store'}"
    fill(logs)
    compact(logs)
    today = date(2026, 2, 3)
    kept = remove_old(logs, today, days=2, keep_unshipped=True)
    assert (kept.files, kept.kept_unshipped) == (0, 4)
    ship_logs(logs, url)
    assert remove_old(logs, today, days=2, keep_unshipped=True).files == 4
    days = {
        partition.day for log in ("exposures", "outcomes") for partition, _ in compacted_files(logs / log)
    }
    assert min(days) == date(2026, 2, 1)
    assert remove_old(logs, today, url=url, store_days=2).objects == 4


def test_a_users_records_leave_files_and_objects(tmp_path: Path) -> None:
    logs, url = tmp_path / "logs", f"file://{tmp_path / 'store'}"
    fill(logs)
    write_part(logs / "exposures", [], 9, tail=f'{{"user_id": "{USERS[1]}", "torn')
    compact(logs)
    ship_logs(logs, url)
    erased = erase_compacted(logs, "demo", USERS[1], url=url)
    assert erased.records == 7
    for root in (logs, tmp_path / "store"):
        for path in root.rglob("*.parquet"):
            assert USERS[1] not in pq.read_table(path, partitioning=None).column("user_id").to_pylist()
    assert not any(USERS[1].encode() in p.read_bytes() for p in (logs / "exposures").rglob("*.lines"))
    assert request_ids(logs / "outcomes") == Counter(f"r{n}" for n in range(12) if n % 4 != 1)
    assert erase_compacted(logs, "demo", USERS[1], url=url).records == 0
    assert erase_compacted(logs, "other", USERS[2], url=url).records == 0
    assert ship_logs(logs, url).files == 0


def test_one_process_at_a_time_has_a_log(tmp_path: Path) -> None:
    fill(tmp_path)
    with journal.exclusive(tmp_path / "exposures"), pytest.raises(RecsysError, match="another process"):
        compact(tmp_path)


def test_the_listing_tells_the_state_of_every_file(tmp_path: Path) -> None:
    fill(tmp_path, 2)
    assert {one.state for one in list_logs(tmp_path, time.time())} == {"closed"}
    compact(tmp_path)
    listed = list_logs(tmp_path, time.time())
    assert {(one.state, one.tenant) for one in listed} == {("compacted", "demo")}
    assert (tmp_path / listed[0].file).stat().st_size == listed[0].bytes


def test_duckdb_reads_a_whole_log_at_once(tmp_path: Path) -> None:
    fill(tmp_path)
    compact(tmp_path)
    pattern = f"{tmp_path}/exposures/*/*/*/*.parquet"
    (row,) = duckdb.sql(f"SELECT count(*), count(DISTINCT tenant) FROM read_parquet('{pattern}')").fetchall()
    assert row == (12, 1)
