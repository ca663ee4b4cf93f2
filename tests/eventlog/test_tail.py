"""Following a log: whole lines once, whatever becomes of the parts."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from recsys.eventlog.parts import PartWriter
from recsys.eventlog.tail import LogTail


def test_each_line_is_read_once_and_only_when_it_is_whole(tmp_path: Path) -> None:
    writer = PartWriter(tmp_path / "tenant=demo")
    writer.append(b"1\n")
    writer.append(b"half")
    tail = LogTail(tmp_path)
    assert list(tail.read()) == [b"1\n"]
    writer.append(b" done\n")
    other = PartWriter(tmp_path)
    other.append(b"2\n")
    assert sorted(tail.read()) == [b"2\n", b"half done\n"]
    assert list(tail.read()) == []
    writer.close()
    other.close()


def test_parts_that_are_too_old_are_left_out(tmp_path: Path) -> None:
    moments = {"old": datetime(2026, 1, 1, tzinfo=UTC), "new": datetime(2026, 1, 31, tzinfo=UTC)}
    for name, moment in moments.items():
        writer = PartWriter(tmp_path, clock=lambda moment=moment: moment.timestamp())
        writer.append(name.encode() + b"\n")
        writer.close()
    assert list(LogTail(tmp_path, since=moments["new"]).read()) == [b"new\n"]
