"""The admin API through the real router: documents, releases, preview, invalidation, audit."""

import hashlib
import json
import time

import pytest
from tests.service.conftest import publish

from recsys.control.principals import Principal

ADMIN = "/v1/admin/tenants/demo"
JSON = {"content_type": "application/json"}
A, B = {"defaults": {"brand_cap": 1}}, {"defaults": {"brand_cap": 2}}
RULES = [{"rule_id": "r", "action": "BLOCK", "target_type": "ITEM", "target_key": "i00"}]


def put(client, kind, document, query="", **headers):
    return client.send("PUT", f"{ADMIN}/{kind}{query}", json.dumps(document).encode(), **JSON | headers)


def code_of(answer):
    return answer.status, answer.json()["code"]


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def test_what_was_put_comes_back_with_its_version_as_tag(client):
    made = put(client, "config", A, "?comment=narrow")
    assert made.status == 200
    shown = client.get(f"{ADMIN}/config")
    assert shown.json() == A
    assert shown.headers["etag"] == made.headers["etag"] == f'"{sha256(shown.body)}"'
    assert made.json()["version"] == sha256(shown.body)
    assert (made.json()["comment"], made.json()["author"]) == ("narrow", "development")
    client.watcher.refresh()
    assert client.recommend().json()["meta"]["config_version"] == made.json()["version"]


@pytest.mark.parametrize(
    ("kind", "code"), [("config", "RECSYS_CONFIG_NOT_FOUND"), ("rules", "RECSYS_RULES_NOT_FOUND")]
)
def test_a_document_that_was_never_put_is_404(client, kind, code):
    assert code_of(client.get(f"{ADMIN}/{kind}")) == (404, code)
    assert code_of(client.post(f"{ADMIN}/{kind}/rollback", {})) == (404, code)
    assert client.get(f"{ADMIN}/{kind}/versions").json() == {"versions": []}


@pytest.mark.parametrize(
    ("kind", "document", "field", "code"),
    [
        ("config", {"defaults": {"mmr_lambda": 2}}, "defaults.mmr_lambda", "RECSYS_INVALID_CONFIG"),
        ("rules", [{"rule_id": "r"}], "rules[0]", "RECSYS_INVALID_RULES"),
        ("rules", [RULES[0] | {"valid_until": "soon"}], "rules[0].valid_until", "RECSYS_INVALID_RULES"),
    ],
)
def test_a_broken_document_names_its_field_and_changes_nothing(client, kind, document, field, code):
    answer = put(client, kind, document)
    assert code_of(answer) == (400, code)
    assert field in answer.json()["detail"]
    assert client.get(f"{ADMIN}/{kind}").status == 404


def test_a_document_is_json(client):
    assert code_of(client.send("PUT", f"{ADMIN}/config", b"{", **JSON)) == (400, "RECSYS_INVALID_CONFIG")
    plain = client.send("PUT", f"{ADMIN}/config", b"{}", content_type="text/plain")
    assert code_of(plain) == (415, "RECSYS_UNSUPPORTED_MEDIA_TYPE")
    large = client.send("PUT", f"{ADMIN}/config", b" " * (1 << 21), **JSON)
    assert code_of(large) == (413, "RECSYS_PAYLOAD_TOO_LARGE")


@pytest.mark.parametrize("form", ['"{}"', 'W/"{}"', '"other", W/"{}"', "*"])
def test_a_matching_tag_lets_a_change_through(client, form):
    tag = put(client, "config", A).json()["version"]
    assert put(client, "config", B, if_match=form.replace("{}", tag)).status == 200


@pytest.mark.parametrize("form", ['"{}"', 'W/"{}"'])
def test_a_stale_tag_is_409_and_changes_nothing(client, form):
    stale = put(client, "config", A).json()["version"]
    put(client, "config", B)
    header = form.replace("{}", stale)
    assert code_of(put(client, "config", A, if_match=header)) == (409, "RECSYS_VERSION_MISMATCH")
    rollback = client.post(f"{ADMIN}/config/rollback", {}, if_match=header)
    assert code_of(rollback) == (409, "RECSYS_VERSION_MISMATCH")
    assert client.get(f"{ADMIN}/config").json() == B


def test_tags_before_there_is_a_document(client):
    assert code_of(put(client, "config", A, if_match="*")) == (409, "RECSYS_VERSION_MISMATCH")
    assert put(client, "config", A, if_none_match="*").status == 200
    assert code_of(put(client, "config", B, if_none_match="*")) == (409, "RECSYS_VERSION_MISMATCH")


@pytest.mark.parametrize("form", ['"{}"', 'W/"{}"', '"x" , "{}"', "*"])
def test_an_unchanged_document_is_304(client, form):
    tag = put(client, "config", A).json()["version"]
    answer = client.send("GET", f"{ADMIN}/config", if_none_match=form.replace("{}", tag))
    assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", f'"{tag}"')
    assert client.send("GET", f"{ADMIN}/config", if_none_match='"other"').status == 200


@pytest.mark.parametrize("tag", ["abc", '"abc', "W/abc", '"a" "b"', ""])
def test_a_tag_without_quotes_is_400(client, tag):
    put(client, "config", A)
    if tag:
        assert code_of(put(client, "config", B, if_match=tag)) == (400, "RECSYS_INVALID_REQUEST")


def test_history_and_rollback(client):
    first, second = (put(client, "rules", rules).json()["version"] for rules in ([], RULES))
    versions = client.get(f"{ADMIN}/rules/versions").json()["versions"]
    assert [(one["version"], one["is_current"]) for one in versions] == [(second, True), (first, False)]
    assert client.get(f"{ADMIN}/rules?version={first}").json() == []
    back = client.post(f"{ADMIN}/rules/rollback", {"comment": "oops"})
    assert (back.status, back.json()["version"]) == (200, first)
    assert client.post(f"{ADMIN}/rules/rollback", {"to": second}).json()["version"] == second
    unknown = client.post(f"{ADMIN}/rules/rollback", {"to": "0" * 64})
    assert code_of(unknown) == (404, "RECSYS_RULES_NOT_FOUND")
    assert len(client.get(f"{ADMIN}/rules/versions?limit=1").json()["versions"]) == 1


@pytest.mark.parametrize(
    "query", ["?limit=0", "?limit=1001", "?limit=x", "?other=1", "?limit=1&limit=2", "?limit", "?%ff=1"]
)
def test_a_parameter_that_cannot_be_used_is_400(client, query):
    assert code_of(client.get(f"{ADMIN}/audit{query}")) == (400, "RECSYS_INVALID_REQUEST")


@pytest.mark.parametrize("route", ["rules/rollback", "manifests/home/rollback", "experiments/e/stop"])
def test_a_parameter_where_none_is_heard_is_400_and_changes_nothing(client, route):
    first, second = (put(client, "rules", rules).json()["version"] for rules in ([], RULES))
    answer = client.post(f"{ADMIN}/{route}?to={first}", {})
    assert code_of(answer) == (400, "RECSYS_INVALID_REQUEST")
    assert "takes no parameters" in answer.json()["detail"]
    assert client.get(f"{ADMIN}/rules").headers["etag"] == f'"{second}"'


def test_an_unknown_tenant_is_404_on_every_route(client):
    for operation in client.app.router.routes:
        op = operation.operation
        if op.is_admin:
            path = op.path.replace("{tenant_id}", "nobody").replace("{surface}", "home")
            path = path.replace("{pseudonym}", "0" * 64)
            body = {
                "rules/preview": {"rules": [], "request": {"surface": "home", "user": {"user_id": "u"}}},
                "cache/invalidate": {"targets": ["rules"]},
                "{experiment_id}/ramp": {"traffic_share": 1},
            }.get("/".join(path.split("/")[-2:]), {})
            body = [] if path.endswith("/rules") else body
            answer = client.send(op.method, path, json.dumps(body).encode(), **JSON)
            assert code_of(answer) == (404, "RECSYS_TENANT_NOT_FOUND"), path


def test_manifest_history_and_rollback(client, tmp_path):
    first = client.get(f"{ADMIN}/manifests/home")
    assert first.headers["etag"] == f'"{sha256(first.body)}"'
    assert client.send("GET", f"{ADMIN}/manifests/home", if_none_match=first.headers["etag"]).status == 304
    second = publish(tmp_path, ("catalog", "popularity"))
    versions = client.get(f"{ADMIN}/manifests/home/versions").json()["versions"]
    assert [one["is_current"] for one in versions] == [True, False]
    stale = client.post(f"{ADMIN}/manifests/home/rollback", {}, if_match=first.headers["etag"])
    assert code_of(stale) == (409, "RECSYS_VERSION_MISMATCH")
    back = client.post(f"{ADMIN}/manifests/home/rollback", {"comment": "thin"})
    assert (back.status, back.json()["version"]) == (200, second.parent)
    client.watcher.refresh()
    assert client.recommend().json()["meta"]["manifest_version"] == second.parent
    entry = client.get(f"{ADMIN}/audit?limit=1").json()["entries"][0]
    assert (entry["action"], entry["before"], entry["after"]) == (
        "manifest.rollback",
        second.version,
        second.parent,
    )
    unknown = client.post(f"{ADMIN}/manifests/home/rollback", {"to": "0" * 64})
    assert code_of(unknown) == (404, "RECSYS_CONFIG_NOT_FOUND")
    assert code_of(client.get(f"{ADMIN}/manifests/cart")) == (404, "RECSYS_CONFIG_NOT_FOUND")
    assert code_of(client.get(f"{ADMIN}/manifests/..")) == (400, "RECSYS_INVALID_REQUEST")


def test_preview_shows_before_and_after_and_leaves_nothing(client):
    request = {"surface": "home", "segment": "default", "k": 3, "user": {"user_id": "u"}}
    answer = client.post(f"{ADMIN}/rules/preview", {"rules": RULES, "request": request})
    body = answer.json()
    before, after = ([item["item_id"] for item in body[side]["items"]] for side in ("before", "after"))
    assert before[0] == "i00"
    assert "i00" not in after
    tried = put(client, "rules", RULES).json()["version"]
    assert body["after"]["meta"]["rules_version"] == tried
    assert client.exposures() == []
    client.watcher.refresh()
    served = client.recommend(k=3).json()
    assert [item["item_id"] for item in served["items"]] == after


def test_rules_with_a_target_that_is_not_there_are_taken_and_warned_of(client):
    rules = [*RULES, {"rule_id": "typo", "action": "PIN", "target_type": "TAG", "target_key": "evn"}]
    warnings = [
        {
            "code": "RULE_TARGET_UNKNOWN",
            "detail": "rules[1].target_key: the catalog of home has no tag 'evn' (rule 'typo')",
        }
    ]
    request = {"surface": "home", "segment": "default", "k": 3, "user": {"user_id": "u"}}
    for path, body in (
        ("rules/preview", {"rules": rules, "request": request}),
        ("preview", {"before": {"rules": {"rules": rules}}, "after": {"rules": rules}, "request": request}),
    ):
        assert client.post(f"{ADMIN}/{path}", body).json()["warnings"] == warnings
    made = put(client, "rules", rules)
    assert (made.status, made.json()["warnings"]) == (200, warnings)
    assert put(client, "rules", {"rules": rules}).json()["warnings"] == warnings
    assert client.get(f"{ADMIN}/rules").json() == {"rules": rules}
    assert "warnings" not in put(client, "rules", RULES).json()


def test_rules_of_a_tenant_that_serves_nothing_yet_are_put_without_a_warning(client):
    client.state.plane.create_tenant("new", actor="test")
    headers = JSON | {"x_org_id": "new"}
    answer = client.send("PUT", "/v1/admin/tenants/new/rules", json.dumps(RULES).encode(), **headers)
    assert (answer.status, "warnings" in answer.json()) == (200, False)


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"rules": [{"rule_id": "r"}]}, 400, "RECSYS_INVALID_RULES"),
        ({"request": {"surface": "home", "user": {}}}, 422, "RECSYS_UNPROCESSABLE_ENTITY"),
        ({"request": {"surface": "cart", "user": {"user_id": "u"}}}, 404, "RECSYS_CONFIG_NOT_FOUND"),
        ({"request": {"user": {"user_id": "u"}}}, 400, "RECSYS_INVALID_REQUEST"),
        ({"other": 1}, 400, "RECSYS_INVALID_REQUEST"),
    ],
)
def test_a_preview_that_cannot_be_made(client, change, status, code):
    body = {"rules": RULES, "request": {"surface": "home", "user": {"user_id": "u"}}} | change
    assert code_of(client.post(f"{ADMIN}/rules/preview", body)) == (status, code)


def test_invalidation_compiles_anew_in_every_worker(client):
    client.watcher.start()
    before = client.state.tenants["demo"].snapshots["home"]
    answer = client.post(f"{ADMIN}/cache/invalidate", {"targets": ["rules", "popularity"], "surface": "home"})
    assert answer.json() == {
        "targets": ["rules", "popularity"],
        "surface": "home",
        "generation": client.state.plane.generation(),
    }
    deadline = time.monotonic() + 60
    while client.state.tenants["demo"].snapshots["home"] is before:
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize(
    "body", [{}, {"targets": []}, {"targets": ["all"]}, {"targets": ["rules"], "surface": "cart"}]
)
def test_targets_that_there_are_not_are_400(client, body):
    assert code_of(client.post(f"{ADMIN}/cache/invalidate", body)) == (400, "RECSYS_INVALID_TARGETS")


def test_audit_pages_meet_without_gap_or_overlap(client):
    for number in range(1, 6):
        put(client, "config", {"defaults": {"brand_cap": number}})
    whole = client.get(f"{ADMIN}/audit").json()["entries"]
    pages, before_id = [], None
    while True:
        query = "?limit=2" + (f"&before_id={before_id}" if before_id else "")
        page = client.get(f"{ADMIN}/audit{query}").json()
        pages += page["entries"]
        before_id = page["next_before_id"]
        if before_id is None:
            break
    assert pages == whole
    assert [entry["action"] for entry in whole] == ["config.put"] * 5 + ["tenant.create"]
    cut = whole[2]["time"].replace("+", "%2B")
    assert client.get(f"{ADMIN}/audit?before={cut}").json()["entries"] == whole[3:]


def test_states_are_not_for_viewers(make_client):
    client = make_client(_As("viewer"), rules=RULES)
    (entry, _) = client.get(f"{ADMIN}/audit").json()["entries"]
    assert entry["action"] == "rules.put"
    assert "after" not in entry
    assert "before" not in entry


class _As:
    """Takes everybody for one role of tenant ``demo``."""

    def __init__(self, role):
        self._principal = Principal("test", "demo", frozenset((role,)))

    def recall(self, headers):
        return self._principal

    authenticate = recall
