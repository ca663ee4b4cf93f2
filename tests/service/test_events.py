"""``/v1/events`` over the application: the shape of the answer, limits, refusals, and what is logged."""

from __future__ import annotations

import errno
import gc
import json
import weakref
from datetime import UTC, datetime, timedelta

import pytest

from recsys.eventlog.layout import live_parts
from recsys.eventlog.parts import PartWriter


def outcome(number: int = 0, **fields: object) -> dict:
    now = datetime.now(UTC).isoformat()
    given = {"request_id": f"r{number}", "user_id": "u", "item_id": "i00", "event_type": "click", "ts": now}
    return given | fields


def lines(client, log: str = "outcomes") -> list[dict]:
    parts = live_parts(client.data_dir / "logs" / log)
    return [json.loads(line) for _, part in parts for line in part.read_text().splitlines()]


def test_a_batch_is_answered_record_by_record(client):
    good, late = outcome(1), outcome(2, ts=(datetime.now(UTC) + timedelta(days=3)).isoformat())
    answer = client.post("/v1/events", {"outcomes": [good, good, late, {"request_id": "r"}]})
    assert answer.status == 200
    body = answer.json()
    assert list(body) == ["accepted", "duplicates", "rejected"]
    assert (body["accepted"], body["duplicates"]) == (1, 1)
    assert [(one["index"], one["kind"], one["code"]) for one in body["rejected"]] == [
        (2, "outcome", "RECSYS_UNPROCESSABLE_ENTITY"),
        (3, "outcome", "RECSYS_INVALID_REQUEST"),
    ]
    assert all(one["detail"] for one in body["rejected"])
    assert client.post("/v1/events", {"outcomes": [good]}).json()["duplicates"] == 1
    assert [line["request_id"] for line in lines(client)] == ["r1"]


def test_an_outcome_joins_the_list_of_its_request(client):
    listed = client.recommend(user={"user_id": "u"})
    request_id = listed.json()["meta"]["request_id"]
    client.post("/v1/events", {"outcomes": [outcome(request_id=request_id)]})
    assert lines(client)[0]["user_id"] == client.exposures()[0]["user_id"]


def test_an_empty_batch_and_exposures_are_taken(client):
    assert client.post("/v1/events", {}).json() == {"accepted": 0, "duplicates": 0, "rejected": []}
    shown = outcome() | {"items": [{"item_id": "i00", "rank": 1}]}
    exposure = {name: shown[name] for name in ("request_id", "user_id", "ts", "items")}
    assert client.post("/v1/events", {"exposures": [exposure]}).json()["accepted"] == 1
    assert lines(client, "exposures")[0]["context"] == {"tenant_id": "demo"}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"outcomes": [outcome(n) for n in range(1001)]}, 400, "RECSYS_INVALID_REQUEST"),
        ({"events": []}, 400, "RECSYS_INVALID_REQUEST"),
        ({"outcomes": [outcome(item_id="x" * 2_000_000)]}, 413, "RECSYS_PAYLOAD_TOO_LARGE"),
    ],
)
def test_a_batch_that_is_wrong_as_a_whole_is_a_problem(client, body, status, code):
    answer = client.post("/v1/events", body)
    assert (answer.status, answer.json()["code"]) == (status, code)
    assert lines(client) == []


def test_an_id_that_names_a_person_is_refused_and_not_logged(client):
    answer = client.post("/v1/events", {"outcomes": [outcome(user_id="ann@example.org")]})
    (rejected,) = answer.json()["rejected"]
    assert "e-mail" in rejected["detail"]
    assert "ann" not in rejected["detail"]
    assert lines(client) == []


def test_a_log_that_cannot_be_written_asks_to_try_again(client, monkeypatch):
    def full(parts: PartWriter, line: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(PartWriter, "append", full)
        answer = client.post("/v1/events", {"outcomes": [outcome()]})
    assert (answer.status, answer.json()["code"]) == (503, "RECSYS_OVERLOADED")
    assert int(answer.headers["retry-after"]) > 0
    assert client.post("/v1/events", {"outcomes": [outcome()]}).json()["accepted"] == 1


def test_the_script_for_web_pages_is_served(client):
    answer = client.get("/recsys-events.js")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/javascript")
    assert b"sendBeacon" in answer.body


def test_nothing_holds_the_release_of_a_tenant_that_sends_no_more(client):
    client.recommend(user={"user_id": "u"})
    assert client.post("/v1/events", {"outcomes": [outcome()]}).status == 200
    served = weakref.ref(client.state.tenants["demo"].snapshots["home"])
    assert served() is not None
    client.state.tenants = {}
    gc.collect()
    assert served() is None
