"""Events: each record judged by itself, written once, and in the log before it is acknowledged."""

from __future__ import annotations

import errno
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import lmdb
import msgspec
import pytest

from recsys.contracts.events import RawEvents
from recsys.contracts.pseudonym import pseudonym
from recsys.eventlog.intake import MAX_OPEN_PARTS, EventIntake
from recsys.eventlog.layout import live_parts
from recsys.eventlog.parts import PartWriter
from recsys.eventlog.recent import Claim, RecentEvents, Touch, user_key

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
SALT = b"salt"


def outcome(number: int = 0, **fields: object) -> dict:
    given = {
        "request_id": f"r{number}",
        "user_id": "u1",
        "item_id": "i1",
        "event_type": "click",
        "ts": (NOW - timedelta(minutes=1)).isoformat(),
    }
    return given | fields


def exposure(number: int = 0, **fields: object) -> dict:
    items = [{"item_id": "i1", "rank": 1, "team": "a"}, {"item_id": "i2", "rank": 3}]
    return {"request_id": f"r{number}", "user_id": "u1", "ts": NOW.isoformat(), "items": items} | fields


class Intake:
    def __init__(self, folder: Path, **settings: object) -> None:
        self.now = NOW.timestamp()
        self.recent = RecentEvents(folder / "cache", clock=lambda: self.now, **settings)
        self.logs = folder / "logs"
        self._intake = EventIntake(self.logs, self.recent)

    def take(self, *outcomes: dict, exposures: tuple[dict, ...] = (), tenant: str = "demo") -> dict:
        body = json.dumps({"outcomes": outcomes, "exposures": exposures}).encode()
        events = msgspec.json.decode(body, type=RawEvents)
        answer = self._intake.take(tenant, events, lambda user: pseudonym(SALT, user), NOW)
        return msgspec.to_builtins(answer)

    def lines(self, log: str = "outcomes") -> list[dict]:
        parts = live_parts(self.logs / log)
        return [json.loads(line) for _, part in parts for line in part.read_text().splitlines()]


@pytest.fixture
def intake(tmp_path: Path) -> Intake:
    return Intake(tmp_path)


def test_a_record_is_logged_under_the_pseudonym_of_its_user(intake: Intake) -> None:
    assert intake.take(outcome(value=1.5)) == {"accepted": 1, "duplicates": 0, "rejected": []}
    (line,) = intake.lines()
    assert line == outcome(value=1.5) | {"user_id": pseudonym(SALT, "u1"), "ts": "2026-01-31T11:59:00Z"}


def test_equal_records_count_once_within_and_across_batches(intake: Intake) -> None:
    same_moment = outcome(ts="2026-01-31T12:59:00+01:00")
    assert intake.take(outcome(), same_moment, outcome(1))["duplicates"] == 1
    assert intake.take(outcome(1), outcome(2)) == {"accepted": 1, "duplicates": 1, "rejected": []}
    assert intake.take(outcome(), tenant="other")["accepted"] == 1
    assert len(intake.lines()) == 4


def test_bad_records_are_refused_by_index_and_the_others_kept(intake: Intake) -> None:
    answer = intake.take(
        outcome(event_type="view"),
        outcome(),
        outcome(ts=(NOW + timedelta(days=2)).isoformat()),
        outcome(ts=(NOW - timedelta(days=400)).isoformat()),
        outcome(surprise=1),
        exposures=(
            exposure(),
            exposure(items=[{"item_id": "i", "rank": 1}, {"item_id": "j", "rank": 1}]),
            exposure(items=[{"item_id": "i", "rank": 1, "propensity": 0.0}]),
            exposure(user_id=""),
        ),
    )
    assert (answer["accepted"], answer["duplicates"]) == (2, 0)
    refused = [(one["kind"], one["index"], one["code"]) for one in answer["rejected"]]
    shape, content = "RECSYS_INVALID_REQUEST", "RECSYS_UNPROCESSABLE_ENTITY"
    assert refused == [
        ("outcome", 0, shape),
        ("outcome", 2, content),
        ("outcome", 3, content),
        ("outcome", 4, shape),
        ("exposure", 1, content),
        ("exposure", 2, content),
        ("exposure", 3, shape),
    ]
    assert answer["rejected"][0]["detail"] == (
        "Invalid enum value 'view'; it is one of click, conversion - at `$.event_type`"
    )
    assert len(intake.lines()) == len(intake.lines("exposures")) == 1


@pytest.mark.parametrize("value", [1.1e12, -1e308])
def test_a_value_that_would_drown_every_sum_is_refused(intake: Intake, value: float) -> None:
    answer = intake.take(outcome(value=value), outcome(request_id="r2", value=-1e12))
    assert answer["accepted"] == 1
    assert answer["rejected"][0]["code"] == "RECSYS_UNPROCESSABLE_ENTITY"
    assert answer["rejected"][0]["detail"].startswith("value: ")


@pytest.mark.parametrize("surface", ["", "..", "a/b", "a\nb", "a" * 129, "\u00e9" * 100])
def test_an_exposure_names_a_surface_or_none(intake: Intake, surface: str) -> None:
    answer = intake.take(exposures=(exposure(context={"surface": surface}), exposure(request_id="r2")))
    assert answer["accepted"] == 1
    assert answer["rejected"][0]["detail"] == "context.surface: not the name of a surface"


def test_an_exposure_keeps_its_items_keys_and_cannot_name_another_tenant(intake: Intake) -> None:
    intake.take(exposures=(exposure(context={"tenant_id": "victim", "surface": "home"}),))
    (line,) = intake.lines("exposures")
    assert line["items"][0]["team"] == "a"
    assert line["context"] == {"tenant_id": "demo", "surface": "home"}
    assert line["user_id"] == pseudonym(SALT, "u1")


def test_what_is_older_than_two_windows_is_forgotten(intake: Intake) -> None:
    intake.take(outcome())
    intake.now += 3600
    assert intake.take(outcome())["duplicates"] == 1
    intake.now += 2 * 3600
    assert intake.take(outcome())["duplicates"] == 0


def test_a_full_memory_forgets_rather_than_refuses(tmp_path: Path) -> None:
    intake = Intake(tmp_path, max_bytes=256 * 1024)
    for start in range(0, 20_000, 1000):
        batch = [outcome(number) for number in range(start, start + 1000)]
        assert intake.take(*batch)["accepted"] == 1000
    assert intake.take(outcome(19_999))["duplicates"] == 1


def test_a_log_that_takes_nothing_leaves_no_memory_of_the_record(
    intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(parts: PartWriter, line: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(PartWriter, "append", full)
        with pytest.raises(OSError, match="No space left"):
            intake.take(outcome())
    assert intake.take(outcome())["accepted"] == 1


def test_the_latest_touched_items_are_kept_most_recent_first(intake: Intake) -> None:
    times = {"i1": 3, "i2": 1, "i3": 2, "old": 300}
    batch = [
        outcome(item_id=item, ts=(NOW - timedelta(minutes=age)).isoformat()) for item, age in times.items()
    ]
    intake.take(*batch)
    intake.take(outcome(item_id="i1"))
    key = user_key("demo", pseudonym(SALT, "u1"))
    assert intake.recent.touched(key, 10, ttl_s=3600) == ["i1", "i2", "i3"]
    assert intake.recent.touched(key, 2, ttl_s=3600) == ["i1", "i2"]
    assert intake.recent.touched(user_key("other", pseudonym(SALT, "u1")), 10, 3600) == []
    intake.now += 3600
    intake.take(outcome(9, item_id="i9", ts=datetime.fromtimestamp(intake.now, UTC).isoformat()))
    assert intake.recent.touched(key, 10, ttl_s=7200)[:3] == ["i9", "i1", "i2"]
    intake.recent.forget_user(key)
    assert intake.recent.touched(key, 10, ttl_s=7200) == []


def test_a_clients_clock_that_is_ahead_keeps_no_item_beyond_its_time(intake: Intake) -> None:
    ahead = (NOW + timedelta(hours=20)).isoformat()
    intake.take(outcome(1, item_id="ahead", ts=ahead), outcome(2, item_id="i2", ts=NOW.isoformat()))
    key = user_key("demo", pseudonym(SALT, "u1"))
    assert set(intake.recent.touched(key, 10, ttl_s=600)) == {"ahead", "i2"}
    intake.now += 900
    assert intake.recent.touched(key, 10, ttl_s=600) == []
    assert intake.lines()[0]["ts"] == "2026-02-01T08:00:00Z"


def test_an_event_that_comes_late_does_not_make_a_later_touch_older(intake: Intake) -> None:
    intake.take(outcome(1, item_id="i1", ts=NOW.isoformat()))
    intake.take(outcome(2, item_id="i2", ts=(NOW - timedelta(minutes=2)).isoformat()))
    intake.take(outcome(3, item_id="i1", ts=(NOW - timedelta(minutes=5)).isoformat()))
    assert intake.recent.touched(user_key("demo", pseudonym(SALT, "u1")), 10, 3600) == ["i1", "i2"]


def test_many_tenants_do_not_keep_a_file_open_each(intake: Intake) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for number in range(MAX_OPEN_PARTS + 20):
        intake.take(outcome(), tenant=f"t{number}")
    assert len(list(Path("/proc/self/fd").iterdir())) - before <= MAX_OPEN_PARTS
    assert len(intake.lines()) == MAX_OPEN_PARTS + 20


def test_threads_of_two_stores_agree_on_which_record_is_new(tmp_path: Path) -> None:
    store = RecentEvents(tmp_path)
    claims = [[Claim(b"%d" % number) for number in range(100)] for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        new = list(pool.map(lambda batch: store.claim(batch, lambda _: None), claims))
    assert [sum(column) for column in zip(*new, strict=True)] == [1] * 100


WRITER = """
import json, sys
from datetime import UTC, datetime
from pathlib import Path
import msgspec
from recsys.contracts.events import RawEvents
from recsys.eventlog.intake import EventIntake
from recsys.eventlog.recent import RecentEvents
folder = Path(sys.argv[1])
intake = EventIntake(folder / "logs", RecentEvents(folder / "cache"))
number = 0
while True:
    ts = datetime.now(UTC)
    record = {"request_id": f"{sys.argv[2]}-{number}", "user_id": "u", "item_id": "i", "event_type": "click",
              "ts": ts.isoformat()}
    events = msgspec.json.decode(json.dumps({"outcomes": [record]}).encode(), type=RawEvents)
    assert intake.take("demo", events, str.upper, ts).accepted == 1
    print(record["request_id"], flush=True)
    number += 1
"""


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_by_a_kill_and_the_others_go_on(tmp_path: Path) -> None:
    def start(name: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), name], stdout=subprocess.PIPE, text=True
        )

    def kill_after(process: subprocess.Popen[str], n_lines: int) -> list[str]:
        assert process.stdout is not None
        told = [process.stdout.readline().strip() for _ in range(n_lines)]
        process.send_signal(signal.SIGKILL)
        return told + process.stdout.read().split()

    acknowledged: list[str] = []
    with start("survivor") as survivor:
        for name in ("first", "second"):
            with start(name) as victim:
                acknowledged += kill_after(victim, 50)
        acknowledged += kill_after(survivor, 200)
    written = {
        json.loads(line)["request_id"]
        for _, part in live_parts(tmp_path / "logs" / "outcomes")
        for line in part.read_text().splitlines()
    }
    assert set(acknowledged) <= written
    assert len(acknowledged) > 300
    # Another process knows what the user touched last.
    assert RecentEvents(tmp_path / "cache").touched(user_key("demo", "U"), 5, 3600) == ["i"]


def test_a_touch_without_a_user_is_not_kept(tmp_path: Path) -> None:
    store = RecentEvents(tmp_path)
    assert store.claim([Claim(b"d", None, Touch("i", 1.0))], lambda _: None) == [True]


class FullDisk:
    """An environment whose transactions cannot begin, or cannot commit."""

    def __init__(self, environment: lmdb.Environment, *, is_begun: bool) -> None:
        self._environment = environment
        self._is_begun = is_begun

    @contextmanager
    def begin(self, **settings: bool) -> Iterator[lmdb.Transaction]:
        if self._is_begun:
            with self._environment.begin(**settings) as transaction:
                yield transaction
                transaction.abort()
        raise lmdb.DiskError("mdb_txn_commit: No space left on device")


def test_what_is_in_the_log_counts_though_the_disk_has_no_room_to_remember_it(
    intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = intake.recent._environment
    monkeypatch.setattr(intake.recent, "_environment", FullDisk(environment, is_begun=True))
    assert intake.take(outcome())["accepted"] == 1
    assert len(intake.lines()) == 1
    monkeypatch.setattr(intake.recent, "_environment", FullDisk(environment, is_begun=False))
    with pytest.raises(OSError, match="No space left"):
        intake.take(outcome(1))
    assert len(intake.lines()) == 1
