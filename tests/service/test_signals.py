"""DB-only mode and erasure over HTTP: rows in, lists out, and a user gone."""

import json
import time
from datetime import UTC, datetime

import pytest
from tests.service.processes import serving

from recsys.contracts.pseudonym import pseudonym
from recsys.control.plane import ControlPlane
from recsys.eventlog import journal

ADMIN = "/v1/admin/tenants/demo"
ROWS = [
    {"surface": "cart", "day": "2026-01-30", "item_id": "a", "count": 3},
    {"surface": "cart", "day": "2026-01-31", "item_id": "b", "count": 2},
]


def put(client, kind, body, query="", content_type="application/json"):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    length = str(len(data))
    return client.send(
        "PUT", f"{ADMIN}/signals/{kind}{query}", data, content_type=content_type, content_length=length
    )


def code_of(answer):
    return answer.status, answer.json()["code"]


def test_rows_are_loaded_in_any_form(client):
    loaded = put(client, "popularity", ROWS).json()
    assert (loaded["rows"], loaded["sets"], loaded["changed"], loaded["surfaces"]) == (2, 2, 2, ["cart"])
    assert (loaded["first_day"], loaded["last_day"]) == ("2026-01-30", "2026-01-31")
    csv = b"day,item_id,count\n2026-01-30,a,3\n2026-01-31,b,2\n"
    again = put(client, "popularity", csv, "?surface=cart", "text/csv; charset=utf-8")
    assert (again.status, again.json()["changed"]) == (200, 0)
    lines = b"\n".join(json.dumps(row).encode() for row in ROWS)
    assert put(client, "popularity", lines, content_type="application/x-ndjson").json()["changed"] == 0
    more = put(client, "popularity", [ROWS[0] | {"item_id": "c"}], "?mode=merge")
    assert more.json()["changed"] == 1
    assert (
        put(client, "catalog", [{"item_id": "a", "tags": ["x"], "created_at": "2026-01-01T00:00:00Z"}]).status
        == 200
    )
    cooc = [{"item_id": "a", "neighbor_id": "b", "day": "2026-01-31", "count": 1}]
    assert put(client, "cooc", cooc, "?surface=cart").status == 200
    assert client.state.plane.verify().row_sets == 4


@pytest.mark.parametrize(
    ("kind", "body", "query", "status", "detail"),
    [
        ("popularity", [ROWS[0] | {"count": -1}], "", 400, "$[0].count"),
        ("popularity", [ROWS[0], ROWS[1] | {"day": "soon"}], "", 400, "$[1].day"),
        ("popularity", [{k: v for k, v in ROWS[0].items() if k != "surface"}], "", 400, "surface"),
        ("popularity", [ROWS[0] | {"extra": 1}], "", 400, "extra"),
        ("popularity", [], "", 400, "no popularity rows"),
        ("popularity", {}, "", 400, "array"),
        ("catalog", [{"item_id": "a"}, {"item_id": "a"}], "", 400, "row 2: item_id is 'a'"),
        ("popularity", ROWS, "?mode=add", 400, "mode"),
        ("cooc", b"day,item_id\n", "", 400, "neighbor_id"),
    ],
)
def test_bad_rows_are_a_problem_that_names_row_and_field(client, kind, body, query, status, detail):
    before = client.state.plane.generation()
    answer = put(client, kind, body, query, "text/csv" if isinstance(body, bytes) else "application/json")
    assert answer.status == status
    assert detail in answer.json()["detail"]
    assert client.state.plane.generation() == before


def test_a_body_is_bounded_and_of_a_known_type(client):
    assert code_of(put(client, "popularity", b"x", content_type="text/plain")) == (
        415,
        "RECSYS_UNSUPPORTED_MEDIA_TYPE",
    )
    assert code_of(put(client, "popularity", b" " * (1 << 21))) == (413, "RECSYS_PAYLOAD_TOO_LARGE")


@pytest.mark.parametrize("content_type", ["text/csv", "application/x-ndjson"])
def test_lines_whose_end_is_not_known_are_refused_as_they_may_have_broken_off(client, content_type):
    body = b"surface,day,item_id,count\ncart,2026-01-31,a,1\n"
    if content_type != "text/csv":
        body = json.dumps(ROWS[0]).encode() + b"\n"
    before = client.state.plane.generation()
    answer = client.send("PUT", f"{ADMIN}/signals/popularity", body, content_type=content_type)
    assert code_of(answer) == (400, "RECSYS_INVALID_REQUEST")
    assert "content-length" in answer.json()["detail"]
    assert client.state.plane.generation() == before
    whole = client.send(
        "PUT", f"{ADMIN}/signals/popularity", json.dumps(ROWS).encode(), content_type="application/json"
    )
    assert whole.status == 200


def test_a_user_is_erased_and_the_audit_trail_says_so(client, monkeypatch):
    monkeypatch.setattr("recsys.eventlog.erasing.ROTATED_AFTER_S", 0.0)
    gone = pseudonym(client.state.plane.tenant("demo").salt, "u")
    client.recommend()
    client.recommend(user={"user_id": "other"})
    assert [line["user_id"] == gone for line in client.exposures()] == [True, False]
    done = client.send("DELETE", f"{ADMIN}/users/{gone}")
    assert done.status == 200
    assert done.json()["log_records"] == 1
    assert gone not in done.body.decode()
    assert [line["user_id"] == gone for line in client.exposures()] == [False]
    entry = client.get(f"{ADMIN}/audit?limit=1").json()
    assert done.json()["subject"] in json.dumps(entry)
    assert code_of(client.send("DELETE", f"{ADMIN}/users/u")) == (400, "RECSYS_INVALID_REQUEST")
    with journal.exclusive(client.data_dir / "logs" / "exposures"):
        busy = client.send("DELETE", f"{ADMIN}/users/{gone}")
    assert code_of(busy) == (503, "RECSYS_OVERLOADED")
    assert "retry-after" in busy.headers


@pytest.mark.slow
def test_a_tenant_and_rows_are_all_that_a_service_needs(tmp_path):
    plane = ControlPlane.open(tmp_path / "control")
    plane.create_tenant("shop", actor="t")
    keys = {role: plane.issue_key("shop", (role,), actor="t")[1] for role in ("operator", "service")}
    plane.close()
    request = {"surface": "home", "segment": "default", "k": 2, "user": {"user_id": "u"}}
    path = "/v1/admin/tenants/shop"

    def headers(role):
        return {"authorization": f"Bearer {keys[role]}"}

    def wait_for(expected):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            status, answer = server.ask("POST", "/v1/recommend", request, headers("service"))
            if status == 200 and [item["item_id"] for item in answer["items"]] == expected:
                return
            time.sleep(0.1)
        raise AssertionError(f"{status} {answer}")

    with serving(tmp_path, n_lines=1) as server:
        assert server.ask("POST", "/v1/recommend", request, headers("service"))[0] == 404
        rows = [row | {"surface": "home"} for row in ROWS]
        assert server.ask("PUT", f"{path}/signals/popularity", rows, headers("operator"))[0] == 200
        wait_for(["a", "b"])
        config = {"defaults": {"half_life_days": 0.5}}
        assert server.ask("PUT", f"{path}/config", config, headers("operator"))[0] == 200
        wait_for(["b", "a"])
        refused = server.ask("PUT", f"{path}/signals/popularity", rows, headers("service"))
        assert refused[0] == 403
    plane = ControlPlane.open(tmp_path / "control")
    assert plane.audit_entries("shop")[0].action == "release.publish"
    assert plane.audit_entries("shop")[0].time <= datetime.now(UTC)
    plane.close()
