"""Erasing from parts that are being written: the user's lines go, nobody else's do."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from recsys.contracts.errors import RecsysError
from recsys.contracts.records import Assignment, ExposedItem, Exposure, Outcome
from recsys.eventlog import erasing, journal
from recsys.eventlog.erasing import erase_live
from recsys.eventlog.log import EventLog
from recsys.eventlog.parts import PartWriter
from recsys.eventlog.reader import read_log

GONE, KEPT = "a" * 64, "b" * 64
WRITER = Path(__file__).with_name("log_writer.py")
KILLS = int(os.environ.get("RECSYS_TEST_KILLS", "6"))
NOW = datetime(2026, 1, 31, tzinfo=UTC)


def exposure(request_id: str, user: str, tenant: str | None = "shop") -> Exposure:
    context = None if tenant is None else {"tenant_id": tenant}
    return Exposure(request_id, user, NOW, [ExposedItem("a", 1)], context=context)


def users_of(log: Path, record: type[Exposure] = Exposure) -> list[tuple[str, str]]:
    return [(one.request_id, one.user_id) for one in read_log(log, record, lambda torn: None)]


def no_wait(_: float) -> None:
    pass


def test_every_log_loses_the_user_and_keeps_the_others(tmp_path: Path) -> None:
    logs = {
        kind: EventLog(PartWriter(tmp_path / kind))
        for kind in ("exposures", "assignments", "outcomes/tenant=shop", "outcomes/tenant=other")
    }
    for number, user in enumerate((GONE, KEPT, GONE)):
        logs["exposures"].append(exposure(f"r{number}", user))
        logs["assignments"].append(Assignment("e", "v", f"r{number}", user, NOW))
        for tenant in ("shop", "other"):
            logs[f"outcomes/tenant={tenant}"].append(Outcome(f"r{number}", user, "a", "click", NOW))
    logs["exposures"].append(exposure("of another tenant", GONE, "other"))
    logs["exposures"].append(exposure("of no tenant", GONE, None))
    modes = {path: path.stat().st_mode for path in tmp_path.rglob("*.jsonl")}
    done = erase_live(tmp_path, "shop", GONE, sleep=no_wait)
    assert (done.records, done.files) == (7, 3)
    assert users_of(tmp_path / "exposures") == [("r1", KEPT), ("of another tenant", GONE)]
    assert users_of(tmp_path / "assignments", Assignment) == [("r1", KEPT)]  # type: ignore[arg-type]
    found = Counter(users_of(tmp_path / "outcomes", Outcome))  # type: ignore[arg-type]
    assert found == Counter([("r1", KEPT), ("r0", GONE), ("r1", KEPT), ("r2", GONE)])
    assert {path: path.stat().st_mode for path in tmp_path.rglob("*.jsonl")} == modes
    assert erase_live(tmp_path, "shop", GONE, sleep=no_wait).records == 0


def test_a_torn_line_of_the_user_goes_and_other_bytes_stay(tmp_path: Path) -> None:
    log = tmp_path / "exposures"
    EventLog(PartWriter(log)).append(exposure("r1", KEPT))
    (part,) = log.glob("*.jsonl")
    whole = part.read_bytes()
    part.write_bytes(b'{"not": "ours"}\n' + whole + b'{"request_id":"r2","user_id":"' + GONE.encode())
    assert erase_live(tmp_path, "shop", GONE, sleep=no_wait).records == 1
    assert part.read_bytes() == b'{"not": "ours"}\n' + whole


def test_a_line_that_came_to_the_old_file_is_written_again(tmp_path: Path) -> None:
    log = EventLog(PartWriter(tmp_path / "exposures"))
    log.append(exposure("r1", GONE))
    (part,) = (tmp_path / "exposures").glob("*.jsonl")
    waits = []
    with part.open("ab", buffering=0) as standing_still:

        def wait(seconds: float) -> None:
            waits.append(seconds)
            if len(waits) == 2:  # the part has been replaced by now
                for user in (KEPT, GONE):
                    standing_still.write(part_line("late", user))

        def part_line(request_id: str, user: str) -> bytes:
            return msgspec.json.encode(exposure(request_id, user)) + b"\n"

        erase_live(tmp_path, "shop", GONE, sleep=wait)
    assert len(waits) == 2
    assert users_of(tmp_path / "exposures") == [("late", KEPT)]


def test_a_writer_goes_on_to_a_new_part_when_asked_also_after_idling(tmp_path: Path) -> None:
    now = [1000.0]
    writer = PartWriter(tmp_path, clock=lambda: now[0])
    writer.append(b"1\n")
    erasing.ask_to_rotate(tmp_path)
    writer.append(b"2\n")  # within a second it need not look
    now[0] += 1.0
    writer.append(b"3\n")
    now[0] += 5.0
    writer.append(b"4\n")
    assert [part.read_bytes() for part in sorted(tmp_path.glob("*.jsonl"))] == [b"1\n2\n", b"3\n4\n"]


def test_a_log_that_is_being_compacted_is_left_alone(tmp_path: Path) -> None:
    EventLog(PartWriter(tmp_path / "exposures")).append(exposure("r1", GONE))
    with journal.exclusive(tmp_path / "exposures"), pytest.raises(RecsysError, match="another process"):
        erase_live(tmp_path, "shop", GONE, sleep=no_wait)


@pytest.mark.slow
def test_no_line_of_others_is_lost_while_workers_write_and_erasures_are_killed(tmp_path: Path) -> None:
    log = tmp_path / "exposures"
    commands = [[sys.executable, str(WRITER), str(log), GONE, KEPT, name] for name in ("x", "y")]
    idle = EventLog(PartWriter(log))  # alive, and writes no more
    idle.append(exposure("idle", KEPT))
    idle.append(exposure("idle too", GONE))
    writers = [subprocess.Popen(one, stdout=subprocess.PIPE, text=True) for one in commands]
    program = (
        "import sys; from pathlib import Path; from recsys.eventlog.erasing import erase_live\n"
        f"print('go', flush=True); erase_live(Path(sys.argv[1]), 'shop', '{GONE}', sleep=lambda s: None)"
    )
    # Without the waits nearly all of an erasure is reading and replacing, which is where a kill may hurt.
    # Writers
    # go on within a second of being asked, so each erasure is asked for a second before it starts.
    moments = random.Random(5)
    try:
        for _ in range(KILLS):
            for folder in {part.parent for part in log.glob("*.jsonl")}:
                erasing.ask_to_rotate(folder)
            time.sleep(1.2)
            frozen = sorted(log.glob("*.jsonl"))
            assert frozen
            eraser = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE)
            assert eraser.stdout is not None
            eraser.stdout.readline()
            time.sleep(moments.uniform(0.0, 0.02))
            eraser.kill()
            eraser.communicate()
        before_last = set(read_ids(log, GONE))
        done = erase_live(tmp_path, "shop", GONE)
        assert done.records >= len(before_last)
        time.sleep(0.2)
    finally:
        for writer in writers:
            writer.terminate()
    lines = [line for writer in writers for line in writer.communicate()[0].splitlines(keepends=True)]
    told = [line.split() for line in lines if line.endswith("\n")]
    kept = [request_id for user, request_id in told if user == KEPT] + ["idle"]
    found = Counter(read_ids(log, KEPT))
    assert [one for one in kept if found[one] != 1] == []
    assert not before_last & set(read_ids(log, GONE))


def read_ids(log: Path, user: str) -> list[str]:
    return [request_id for request_id, of in users_of(log) if of == user]
