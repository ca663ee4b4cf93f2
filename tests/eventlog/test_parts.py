"""Log parts: rotation, disks that are full, and reading back."""

import errno
import os
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from recsys.contracts.records import ExposedItem, Exposure
from recsys.eventlog.log import EventLog
from recsys.eventlog.parts import PartWriter
from recsys.eventlog.reader import LogError, list_parts, read_log


def _exposure(number: int) -> Exposure:
    return Exposure(f"r{number}", "u", datetime(2026, 1, 1, tzinfo=UTC), [ExposedItem("i", 1)])


def _refuse_torn(torn: object) -> None:
    raise AssertionError(str(torn))


def test_records_come_back_in_order(tmp_path):
    log = EventLog(PartWriter(tmp_path))
    records = [_exposure(number) for number in range(100)]
    assert all(log.append(record) for record in records)
    log.close()
    assert list(read_log(tmp_path, Exposure, _refuse_torn)) == records


def test_parts_rotate_by_size_and_their_names_sort(tmp_path):
    log = EventLog(PartWriter(tmp_path, max_bytes=1000))
    for number in range(50):
        log.append(_exposure(number))
    log.close()
    parts = list_parts(tmp_path)
    assert len(parts) > 3
    assert all(part.stat().st_size <= 1000 for part in parts)
    read = [record.request_id for record in read_log(tmp_path, Exposure, _refuse_torn)]
    assert read == [f"r{number}" for number in range(50)]


def test_parts_rotate_by_age_and_when_the_clock_is_set_back(tmp_path):
    now = [1_000_000.0]
    parts = PartWriter(tmp_path, max_age_s=60, clock=lambda: now[0])
    for moment in (0, 30, 61, -100):
        now[0] = 1_000_000.0 + moment
        parts.append(b"{}\n")
    parts.close()
    assert len(list_parts(tmp_path)) == 3


def test_a_removed_part_is_opened_anew(tmp_path):
    now = [0.0]
    parts = PartWriter(tmp_path, clock=lambda: now[0])
    parts.append(b"1\n")
    list_parts(tmp_path)[0].unlink()
    now[0] = 2.0
    parts.append(b"2\n")
    parts.close()
    assert [part.read_bytes() for part in list_parts(tmp_path)] == [b"2\n"]


def test_a_torn_last_line_is_reported_and_skipped(tmp_path):
    log = EventLog(PartWriter(tmp_path))
    log.append(_exposure(1))
    log.append(_exposure(2))
    log.close()
    (part,) = list_parts(tmp_path)
    os.truncate(part, part.stat().st_size - 1)
    torn = []
    assert [record.request_id for record in read_log(tmp_path, Exposure, torn.append)] == ["r1"]
    assert str(torn[0]).startswith(f"{part}:2: torn last line")


def test_a_bad_line_elsewhere_names_file_and_line(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b'{"request_id": ""}\n')
    with pytest.raises(LogError, match=r"a\.jsonl:1: "):
        list(read_log(tmp_path, Exposure, _refuse_torn))


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(LogError, match="no such folder"):
        list_parts(tmp_path / "none")


def test_a_full_disk_is_counted_and_recovered_from(tmp_path, monkeypatch):
    log = EventLog(PartWriter(tmp_path))
    assert log.append(_exposure(1))

    def full(parts: PartWriter, line: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    real = PartWriter.append
    monkeypatch.setattr(PartWriter, "append", full)
    assert not log.append(_exposure(2))
    assert log.failures == 1
    assert "No space left" in (log.last_error or "")
    monkeypatch.setattr(PartWriter, "append", real)
    assert log.append(_exposure(3))
    assert log.last_error is None
    log.close()
    assert [r.request_id for r in read_log(tmp_path, Exposure, _refuse_torn)] == ["r1", "r3"]


LIMITED = """
import resource, sys
from datetime import UTC, datetime
from pathlib import Path
from recsys.contracts.records import Exposure
from recsys.eventlog.log import EventLog
from recsys.eventlog.parts import PartWriter
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
log = EventLog(PartWriter(Path(sys.argv[1])))
written = [log.append(Exposure(f"r{n}", "u", datetime(2026, 1, 1, tzinfo=UTC), [])) for n in range(30)]
print(sum(written), log.failures)
"""


def test_a_short_write_tears_only_the_last_line_of_its_part(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path)], capture_output=True, text=True, check=True, timeout=30
    )
    written, failures = map(int, done.stdout.split())
    torn = []
    records = list(read_log(tmp_path, Exposure, torn.append))
    assert len(records) == written
    assert len(torn) == failures > 0


def test_two_writers_that_begin_within_one_millisecond_have_a_part_each(tmp_path):
    writers = [PartWriter(tmp_path, clock=lambda: 1_000_000.0) for _ in range(3)]
    for number, writer in enumerate(writers):
        writer.append(b"%d\n" % number)
    assert sorted(part.read_bytes() for part in tmp_path.iterdir()) == [b"0\n", b"1\n", b"2\n"]
