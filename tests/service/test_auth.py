"""Who may call which route, for which tenant: every route of the real router, with real keys."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from tests.service.conftest import Client

from recsys.service.app import App
from recsys.service.credentials import CredentialAuthenticator
from recsys.service.operations import OPERATIONS

ROLES = ("service", "viewer", "operator", "admin")
GUARDED = [operation for operation in OPERATIONS if operation.roles is not None]
REQUEST = {"surface": "home", "user": {"user_id": "u"}}
EXPERIMENT = {"surface": "home", "arms": [{"name": "a"}]}


@dataclass
class Clock:
    """Unix seconds that a test sets."""

    now: float

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock(datetime.now(UTC).timestamp())


@pytest.fixture
def keyed(client: Client, clock: Clock) -> Client:
    """The client's service with API keys in place of trust."""
    client.state.plane.create_tenant("other", actor="test")
    client.authenticator = CredentialAuthenticator(client.state, None, clock=clock)
    client.app = App(client.state, client.watcher, client.authenticator)
    client.watcher.refresh()
    return client


def issue(client, role, tenant="demo", **options):
    _, text = client.state.plane.issue_key(tenant, (role,), actor="test", **options)
    return text


def call(client, operation, *, tenant="demo", **headers):
    path = operation.path.replace("{tenant_id}", tenant).replace("{surface}", "home")
    path = path.replace("{pseudonym}", "a" * 64)
    bodies = {
        "/v1/similar": {"surface": "home", "item_id": "i00"},
        "/v1/events": {},
        "/v1/recommend/batch": {"requests": [REQUEST]},
        "/ramp": {"traffic_share": 1},
        "demo/experiments": EXPERIMENT | {"id": uuid4().hex} if operation.method == "POST" else {},
        "rules/preview": {"rules": [], "request": REQUEST},
        "demo/preview": {"request": REQUEST},
        "cache/invalidate": {"targets": ["config"]},
        "signals/catalog": [{"item_id": "a"}],
        "signals/popularity": [{"surface": "x", "item_id": "a", "day": "2026-01-31", "count": 1}],
        "signals/cooc": [
            {"surface": "x", "item_id": "a", "neighbor_id": "b", "day": "2026-01-31", "count": 1}
        ],
    }
    body = next((body for end, body in bodies.items() if path.endswith(end)), None)
    if body is None:
        body = [] if path.endswith("/rules") else {} if operation.is_admin else REQUEST
    return client.send(
        operation.method, path, json.dumps(body).encode(), content_type="application/json", **headers
    )


def names(operations):
    return [f"{operation.method} {operation.path}" for operation in operations]


@pytest.mark.parametrize("operation", GUARDED, ids=names(GUARDED))
def test_a_route_asks_for_a_credential_its_role_and_its_tenant(keyed, operation):
    for role in ROLES:
        answer = call(keyed, operation, authorization=f"Bearer {issue(keyed, role)}")
        if role in operation.roles:
            assert answer.status in (200, 404), role  # nothing was put that could be shown or rolled back
        else:
            assert (answer.status, answer.json()["code"]) == (403, "RECSYS_FORBIDDEN")
    without = call(keyed, operation)
    assert (without.status, without.json()["code"]) == (401, "RECSYS_AUTH_REQUIRED")
    assert without.headers["www-authenticate"] == "Bearer"
    wrong = call(keyed, operation, authorization="Bearer rsk_0123456789abcdef_no")
    assert (wrong.status, wrong.json()["code"]) == (401, "RECSYS_AUTH_INVALID")

    good = {"authorization": f"Bearer {issue(keyed, 'admin')}"}
    mismatched = [call(keyed, operation, **good, x_org_id="other")]
    if operation.is_admin:
        mismatched.append(call(keyed, operation, tenant="other", **good))
        mismatched.append(call(keyed, operation, tenant="other", **good, x_org_id="other"))
        mismatched.append(call(keyed, operation, tenant="other", **good, x_org_id="demo"))
    for answer in mismatched:
        assert (answer.status, answer.json()["code"]) == (403, "RECSYS_TENANT_SCOPE_MISMATCH")
    invalid = call(keyed, operation, **good, x_org_id="a/b")
    assert (invalid.status, invalid.json()["code"]) == (400, "RECSYS_INVALID_TENANT")
    assert call(keyed, operation, **good, x_org_id="demo").status in (200, 404)


@pytest.mark.parametrize("operation", GUARDED, ids=names(GUARDED))
def test_a_suspended_tenant_is_refused_on_every_route(keyed, operation):
    headers = {"authorization": f"Bearer {issue(keyed, 'admin')}"}
    assert call(keyed, operation, **headers).status in (200, 404)
    keyed.state.plane.set_tenant_state("demo", "suspended", actor="test")
    keyed.watcher.refresh()
    answer = call(keyed, operation, **headers)
    assert (answer.status, answer.json()["code"]) == (403, "RECSYS_FORBIDDEN")
    assert "suspended" in answer.json()["detail"]


@pytest.mark.parametrize("operation", [one for one in GUARDED if one.is_admin], ids=lambda one: one.path)
def test_without_authentication_the_path_and_the_header_still_agree(client, operation):
    client.state.plane.create_tenant("other", actor="test")
    answer = call(client, operation, x_org_id="other")
    assert (answer.status, answer.json()["code"]) == (403, "RECSYS_TENANT_SCOPE_MISMATCH")
    assert call(client, operation).status in (200, 404)


def test_open_routes_need_no_credential(keyed):
    for operation in OPERATIONS:
        if operation.roles is None:
            assert keyed.send(operation.method, operation.path).status == 200


def test_a_key_may_come_in_its_own_header_but_not_in_both(keyed):
    key = issue(keyed, "service")
    assert keyed.recommend({"x_api_key": key}).status == 200
    both = keyed.recommend({"x_api_key": key, "authorization": f"Bearer {key}"})
    assert both.json()["code"] == "RECSYS_AUTH_INVALID"
    assert keyed.recommend({"authorization": f"bearer {key}"}).status == 200
    assert keyed.recommend({"authorization": f"Basic {key}"}).json()["code"] == "RECSYS_AUTH_INVALID"
    assert keyed.recommend({"authorization": "Bearer "}).json()["code"] == "RECSYS_AUTH_REQUIRED"


def test_a_token_is_refused_where_none_are_taken(keyed):
    answer = keyed.recommend({"authorization": "Bearer a.b.c"})
    assert answer.json()["code"] == "RECSYS_AUTH_INVALID"


def test_a_good_key_costs_no_look_into_the_store_the_second_time(keyed, monkeypatch):
    headers = {"x_api_key": issue(keyed, "service")}
    keyed.watcher.refresh()
    assert keyed.recommend(headers).status == 200
    monkeypatch.setattr(keyed.state.plane, "authenticate", None)
    assert keyed.recommend(headers).status == 200


def test_a_revocation_counts_once_the_watcher_has_seen_it(keyed):
    key, text = keyed.state.plane.issue_key("demo", ("service",), actor="test")
    keyed.watcher.refresh()
    assert keyed.recommend({"x_api_key": text}).status == 200
    keyed.state.plane.revoke_key(key.key_id, actor="test")
    keyed.watcher.refresh()
    assert keyed.recommend({"x_api_key": text}).json()["code"] == "RECSYS_AUTH_INVALID"


def test_a_key_is_good_until_it_expires(keyed, clock):
    expires = datetime.fromtimestamp(clock.now, UTC) + timedelta(seconds=30)
    headers = {"x_api_key": issue(keyed, "service", expires_at=expires)}
    keyed.watcher.refresh()
    assert keyed.recommend(headers).status == 200
    keyed.state.plane._clock = lambda: expires + timedelta(seconds=1)
    clock.now += 29
    assert keyed.recommend(headers).status == 200
    clock.now += 2
    assert keyed.recommend(headers).json()["code"] == "RECSYS_AUTH_INVALID"


def test_what_is_remembered_is_bounded_and_ends_after_a_minute(keyed, clock, monkeypatch):
    monkeypatch.setattr("recsys.service.credentials.MAX_REMEMBERED", 2)
    keys = [issue(keyed, "service") for _ in range(4)]
    keyed.watcher.refresh()
    for key in keys:
        assert keyed.recommend({"x_api_key": key}).status == 200
    remembered = keyed.authenticator._remembered
    assert list(remembered) == keys[2:]
    clock.now += 61
    monkeypatch.setattr(keyed.state.plane, "authenticate", lambda *_: None)
    assert keyed.recommend({"x_api_key": keys[3]}).status == 401


def test_when_a_key_was_last_used_is_written_down(keyed):
    from recsys.control.keys import last_use

    key, text = keyed.state.plane.issue_key("demo", ("service",), actor="test")
    keyed.recommend({"x_api_key": text})
    keyed.state.key_uses.write(keyed.state.plane, is_due=True)
    with keyed.state.plane.read() as reader:
        assert last_use(reader, key.key_id) is not None


def test_no_credential_is_logged(keyed, monkeypatch, capfd):
    text = issue(keyed, "service")

    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("recsys.service.lists.rank_list", fail)
    assert keyed.recommend({"x_api_key": text}).status == 500
    out, err = capfd.readouterr()
    assert text.rpartition("_")[2] not in out + err
