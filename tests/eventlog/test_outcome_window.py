"""Outcomes of the last hours with the place of their list: live, compacted, late, and within bounds."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from recsys.eventlog import outcome_window
from recsys.eventlog.compaction import compact_logs
from recsys.eventlog.layout import tenant_folder
from recsys.eventlog.outcome_window import OutcomeWindow

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


class Logs:
    """Logs written line by line, a part for each writing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._count = 0

    def _write(self, kind: str, record: dict) -> None:
        self._count += 1
        stamp = (NOW - timedelta(minutes=2)).strftime("%Y%m%dT%H%M%S.000Z")
        path = self.folder / kind / f"{stamp}-00000001-{self._count:06}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(record) + "\n")

    def expose(self, request_id: str, *, tenant: str = "demo", segment: str = "default") -> None:
        context = {"tenant_id": tenant, "surface": "home", "segment": segment}
        record = {"request_id": request_id, "user_id": "a" * 64, "ts": NOW.isoformat(), "items": []}
        self._write("exposures", record | {"context": context})

    def take(self, request_id: str, item_id: str, *, tenant: str = "demo", ts: datetime = NOW) -> None:
        record = {
            "request_id": request_id,
            "user_id": "a" * 64,
            "item_id": item_id,
            "event_type": "click",
            "ts": ts.isoformat(),
        }
        self._write(f"outcomes/{tenant_folder(tenant)}", record)


@pytest.fixture
def logs(tmp_path: Path) -> Logs:
    return Logs(tmp_path)


def window_of(logs: Logs, hours: float = 1.0) -> OutcomeWindow:
    return OutcomeWindow(logs.folder, frozenset(["demo"]), NOW - timedelta(hours=hours))


def items(window: OutcomeWindow) -> list[str]:
    return sorted(one.item_id for one in window.outcomes("demo", "home"))


def test_an_outcome_has_the_surface_and_segment_of_its_list(logs: Logs) -> None:
    logs.expose("r1", segment="vip")
    logs.take("r1", "i1")
    window = window_of(logs)
    window.read()
    (one,) = window.outcomes("demo", "home")
    assert (one.segment, one.item_id, one.event_type, one.at_s) == ("vip", "i1", "click", NOW.timestamp())
    assert window.outcomes("demo", "other") == []


def test_what_came_since_is_added_once_and_a_list_may_be_logged_late(logs: Logs) -> None:
    logs.take("r1", "i1")
    window = window_of(logs)
    window.read()
    assert items(window) == []
    logs.expose("r1")
    logs.expose("r2")
    logs.take("r2", "i2")
    for _ in range(2):
        window.read()
        assert items(window) == ["i1", "i2"]


def test_other_tenants_older_outcomes_and_broken_lines_do_not_count(logs: Logs) -> None:
    logs.expose("r1")
    logs.expose("r1", tenant="other")
    logs.take("r1", "theirs", tenant="other")
    logs.take("r1", "old", ts=NOW - timedelta(hours=2))
    for kind in ("exposures", f"outcomes/{tenant_folder('demo')}"):
        part = next((logs.folder / kind).glob("*.jsonl"))
        part.write_text("not a record\n" + part.read_text() + '{"torn')
    logs.take("r1", "i1")
    window = window_of(logs)
    window.read()
    assert items(window) == ["i1"]


def test_a_restart_finds_what_was_compacted_meanwhile(logs: Logs) -> None:
    logs.expose("r1", segment="vip")
    logs.take("r1", "i1")
    logs.take("r1", "old", ts=NOW - timedelta(hours=2))
    compact_logs(logs.folder, now=NOW.timestamp() + 10)
    assert not list(logs.folder.glob("*/*.jsonl"))
    logs.take("r1", "i2")
    window = window_of(logs)
    window.read()
    assert [(one.item_id, one.segment) for one in window.outcomes("demo", "home")] == [
        ("i2", "vip"),
        ("i1", "vip"),
    ]


def test_room_is_bounded_and_the_latest_stay(logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcome_window, "MAX_LISTS", 3)
    for number in range(6):
        logs.expose(f"r{number}")
        logs.take(f"r{number}", f"i{number}")
    window = window_of(logs)
    window.read()
    assert items(window) == ["i3", "i4", "i5"]
