"""Every way a request is refused: status, code and body."""

import asyncio
import re
import struct

import pytest
from granian.rsgi import ProtocolClosed

from recsys.contracts.errors import ServingError
from recsys.contracts.http import MAX_BODY_BYTES
from recsys.control.principals import Principal
from recsys.service.auth import DevelopmentAuthenticator, agree_on_tenant
from recsys.service.problems import ProblemError
from recsys.service.transport import MAX_DRAINED_BYTES

ADMIN = "/v1/admin/tenants/demo"
REFUSED = [
    ({"k": 0}, 400, "RECSYS_INVALID_REQUEST"),
    ({"k": 201}, 400, "RECSYS_INVALID_REQUEST"),
    ({"k": "5"}, 400, "RECSYS_INVALID_REQUEST"),
    ({"surface": "a/b"}, 400, "RECSYS_INVALID_REQUEST"),
    ({"surface": "a\\b"}, 400, "RECSYS_INVALID_REQUEST"),
    ({"surface": ".."}, 400, "RECSYS_INVALID_REQUEST"),
    ({"surface": "."}, 400, "RECSYS_INVALID_REQUEST"),
    ({"surface": "a\n"}, 400, "RECSYS_INVALID_REQUEST"),
    ({"surface": ""}, 400, "RECSYS_INVALID_REQUEST"),
    ({"unknown": 1}, 400, "RECSYS_INVALID_REQUEST"),
    ({"user": {"user_id": "u", "name": "x"}}, 400, "RECSYS_INVALID_REQUEST"),
    ({"user": {"user_id": "u" * 257}}, 400, "RECSYS_INVALID_REQUEST"),
    ({"user": {"session_id": "u" * 257}}, 400, "RECSYS_INVALID_REQUEST"),
    ({"context": {"locale": "x" * 129}}, 400, "RECSYS_INVALID_REQUEST"),
    ({"context": {"device": "x" * 129}}, 400, "RECSYS_INVALID_REQUEST"),
    ({"context": {"country": "x" * 129}}, 400, "RECSYS_INVALID_REQUEST"),
    ({"experiment": {"id": "x" * 129}}, 400, "RECSYS_INVALID_REQUEST"),
    ({"experiment": {"id": "x", "variant": "x" * 129}}, 400, "RECSYS_INVALID_REQUEST"),
    ({"context": {"now": "yesterday"}}, 400, "RECSYS_INVALID_REQUEST"),
    ({"context": {"now": "2026-01-01T00:00:00"}}, 400, "RECSYS_INVALID_REQUEST"),
    ({"anchors": {"item_ids": ["i"] * 51}}, 400, "RECSYS_INVALID_REQUEST"),
    ({"candidates": {"include_ids": ["i"] * 5001}}, 400, "RECSYS_INVALID_REQUEST"),
    ({"candidates": {"exclude_ids": ["i"] * 5001}}, 400, "RECSYS_INVALID_REQUEST"),
    ({"constraints": {"required_tags": ["t"] * 201}}, 400, "RECSYS_INVALID_REQUEST"),
    ({"constraints": {"forbidden_tags": ["t"] * 201}}, 400, "RECSYS_INVALID_REQUEST"),
    ({"constraints": {"max_per_tag": {"t": -1}}}, 400, "RECSYS_INVALID_REQUEST"),
    ({"weights": {"pop": -0.1}}, 400, "RECSYS_INVALID_REQUEST"),
    ({"weights": {"pop": 1e101}}, 400, "RECSYS_INVALID_REQUEST"),
    ({"options": {"explain": "all"}}, 400, "RECSYS_INVALID_REQUEST"),
    ({"user": {}}, 422, "RECSYS_UNPROCESSABLE_ENTITY"),
    ({"user": {"user_id": ""}}, 422, "RECSYS_UNPROCESSABLE_ENTITY"),
    ({"k": 51, "options": {"explain": "summary"}}, 422, "RECSYS_EXPLAIN_TOO_LARGE"),
    ({"surface": "elsewhere"}, 404, "RECSYS_CONFIG_NOT_FOUND"),
]


@pytest.mark.parametrize(("fields", "status", "code"), REFUSED)
def test_refused_field(client, fields, status, code):
    answer = client.recommend(**fields)
    problem = answer.json()
    assert (answer.status, problem["code"], problem["status"]) == (status, code, status)
    assert set(problem) == {"type", "title", "status", "detail", "instance", "code", "request_id"}
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["instance"] == "/v1/recommend"
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert client.exposures() == []


def test_limits_are_inclusive(client):
    answer = client.recommend(
        k=200,
        anchors={"item_ids": ["i00"] * 50, "max_anchors": 50},
        candidates={"include_ids": ["i01"] * 5000, "exclude_ids": ["x"] * 5000},
        constraints={"required_tags": ["odd"] * 200, "forbidden_tags": ["t"] * 200},
    )
    assert answer.item_ids == ["i01"]
    assert client.recommend(k=50, options={"explain": "full"}).status == 200


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[]", b'{"surface":"\\ud800"}', b"[" * 5000])
def test_a_body_that_is_no_request_is_400(client, body):
    answer = client.send("POST", "/v1/recommend", body, content_type="application/json")
    assert (answer.status, answer.json()["code"]) == (400, "RECSYS_INVALID_REQUEST")


@pytest.mark.parametrize("is_declared", [True, False])
def test_a_body_over_one_mebibyte_is_413(client, is_declared):
    body = b" " * (1024 * 1024 + 1)
    length = {"content_length": str(len(body))} if is_declared else {}
    answer = client.send("POST", "/v1/recommend", body, content_type="application/json", **length)
    assert (answer.status, answer.json()["code"]) == (413, "RECSYS_PAYLOAD_TOO_LARGE")


@pytest.mark.parametrize(("mebibytes", "is_read"), [(3, True), (9, False)])
@pytest.mark.parametrize("is_declared", [True, False])
def test_a_body_over_the_limit_is_read_to_its_end_unless_it_is_far_over(
    client, mebibytes, is_read, is_declared
):
    body = b" " * (mebibytes * 1024 * 1024)
    length = {"content-length": str(len(body))} if is_declared else {}

    class Counted(client.exchange_type):
        taken = 0

        async def __aiter__(self):
            async for chunk in super().__aiter__():
                Counted.taken += len(chunk)
                yield chunk

    exchange = Counted("POST", "/v1/recommend", length, body)
    asyncio.run(client.app.__rsgi__(exchange, exchange))
    assert exchange.answer is not None
    assert exchange.answer.status == 413
    assert (Counted.taken == len(body)) is is_read
    assert Counted.taken <= MAX_DRAINED_BYTES + MAX_BODY_BYTES


def test_a_caller_that_hangs_up_in_its_body_is_no_failure_of_the_service(client, monkeypatch):
    async def hang_up(exchange: object) -> bytes:
        raise ProtocolClosed("RSGI transport is closed")

    monkeypatch.setattr(client.exchange_type, "__call__", hang_up)
    answer = client.send("POST", "/v1/recommend", content_type="application/json", content_length="100")
    assert (answer.status, answer.json()["code"]) == (400, "RECSYS_INVALID_REQUEST")
    assert "100 bytes" in answer.json()["detail"]


@pytest.mark.parametrize("content_type", ["text/plain", "application/jsonp", ""])
def test_a_body_that_is_not_said_to_be_json_is_415(client, content_type):
    answer = client.recommend({"content_type": content_type})
    assert (answer.status, answer.json()["code"]) == (415, "RECSYS_UNSUPPORTED_MEDIA_TYPE")


def test_json_may_name_its_charset(client):
    assert client.recommend({"content_type": "Application/JSON; charset=utf-8"}).status == 200


def test_unknown_path_is_404_and_wrong_method_405_with_allow(client):
    assert client.get("/v2").json()["code"] == "RECSYS_NOT_FOUND"
    answer = client.get("/v1/recommend")
    assert (answer.status, answer.headers["allow"]) == (405, "POST")
    assert client.send("POST", "/livez").headers["allow"] == "GET, HEAD"


def test_head_is_answered_like_get(client):
    assert client.send("HEAD", "/readyz").status == 200
    assert client.send("HEAD", "/v1/recommend").status == 405


@pytest.mark.parametrize(
    ("tenant", "status", "code"),
    [("other", 404, "RECSYS_TENANT_NOT_FOUND"), ("a/b", 400, "RECSYS_INVALID_TENANT")],
)
def test_tenant_header(client, tenant, status, code):
    answer = client.recommend({"x_org_id": tenant})
    assert (answer.status, answer.json()["code"]) == (status, code)


def test_a_tenant_header_that_cannot_be_read_is_not_the_default_tenant():
    class UnreadableHeaders(dict):
        def get(self, key: str, default: None = None) -> None:
            return default

    headers = UnreadableHeaders({"x-org-id": "é"})
    with pytest.raises(ProblemError) as refused:
        agree_on_tenant(DevelopmentAuthenticator("demo").authenticate(headers), headers, None)
    assert refused.value.code == "RECSYS_INVALID_TENANT"


@pytest.mark.parametrize("options", [{"explain": "full"}, {"include_trace": True}])
def test_full_explanations_and_the_trace_need_the_admin_role(make_client, options):
    class ViewerAuthenticator:
        def recall(self, headers: object) -> Principal:
            return Principal("test", "demo", frozenset(("viewer",)))

        authenticate = recall

    client = make_client(ViewerAuthenticator())
    assert client.recommend(options=options).json()["code"] == "RECSYS_FORBIDDEN"
    assert client.recommend(options={"explain": "summary"}).status == 200


def test_request_id_is_kept_when_sound_and_made_otherwise(client):
    assert client.recommend({"x_request_id": "~" * 128}).headers["x-request-id"] == "~" * 128
    for bad in ("", "a b", "é", "x" * 129):
        made = client.recommend({"x_request_id": bad})
        version_7 = r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
        assert re.fullmatch(version_7, made.headers["x-request-id"])
        assert made.json()["meta"]["request_id"] == made.headers["x-request-id"]


def test_tenant_limit_of_k(make_client):
    client = make_client(config="[config.limits]\nmax_k = 10")
    assert client.recommend(k=11).status == 400
    body = {"surface": "home", "user": {"user_id": "u"}}
    assert len(client.post("/v1/recommend", body).item_ids) == 10


def test_a_list_that_cannot_be_ranked_is_503_and_exposed_as_an_error(client, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise ServingError("cooc.rsa: section entries: an ordinal is out of range")

    monkeypatch.setattr("recsys.service.lists.rank_list", fail)
    answer = client.recommend()
    assert (answer.status, answer.json()["code"]) == (503, "RECSYS_ARTIFACT_INCOMPATIBLE")
    (exposure,) = client.exposures()
    assert exposure["error"] is True
    assert exposure["items"] == []


def test_a_corrupt_mapped_file_is_never_a_crash(make_client, tmp_path):
    client = make_client()
    path = tmp_path / "artifacts" / "cooc.rsa"
    size = path.stat().st_size
    with path.open("r+b") as file:
        for at in range(64, size - 4, 4):
            file.seek(at)
            file.write(struct.pack("<I", 0xFFFFFFFE))
    answer = client.recommend(anchors={"item_ids": ["i00"]})
    assert answer.status in (200, 503)


def test_a_defect_is_500_without_its_details(client, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr("recsys.service.lists.rank_list", fail)
    answer = client.recommend()
    assert (answer.status, answer.json()["code"]) == (500, "RECSYS_INTERNAL")
    assert b"secret" not in answer.body


def test_a_surface_that_is_no_path_segment_is_told_so_in_words(client):
    answer = client.recommend(surface="a/b")
    assert answer.status == 400
    words = "Expected one path segment: no /, \\, . or .., no control characters"
    assert answer.json()["detail"] == f"{words} - at `$.surface`"
    for path in ("../config", "demo/manifests/.."):
        assert words in client.get(f"/v1/admin/tenants/{path}").json()["detail"]
    assert words in client.recommend({"x_org_id": "a/b"}).json()["detail"]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (f"{ADMIN}/rules/rollback", "the body is empty; send {}"),
        ("/v1/events", "the body is empty; send "),
        ("/v1/recommend", "the body is empty; send a JSON object"),
    ],
)
def test_an_empty_body_is_said_to_be_empty(client, path, said):
    answer = client.send("POST", path, b"", content_type="application/json")
    assert answer.status == 400
    assert answer.json()["detail"].startswith(said)


def test_a_refusal_says_what_there_is(client):
    unknown = client.recommend(surface="hmoe").json()
    assert unknown["title"] == "There is no such surface, release or configuration"
    assert unknown["detail"] == "surface: tenant 'demo' has no surface 'hmoe'; it has home"
    targets = client.post(f"{ADMIN}/cache/invalidate", {"targets": ["rule"]})
    assert re.search("'rule'; it is one of .*rules", targets.json()["detail"])
