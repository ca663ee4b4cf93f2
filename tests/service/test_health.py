"""Open routes, and an exposure log that cannot be written."""

import re
import shutil


def test_live_and_ready(client):
    assert client.get("/livez").status == 200
    for path in ("/readyz", "/healthz"):
        answer = client.get(path)
        assert (answer.status, answer.json()["status"]) == (200, "ok")


def test_version_names_every_snapshot(client):
    versions = client.get("/version").json()["snapshots"]["demo/home"]
    meta = client.recommend().json()["meta"]
    assert versions == {name: meta[name] for name in versions}


def test_metrics_count_requests_lists_warnings_and_problems(client):
    client.recommend()
    client.recommend(k=0)
    client.recommend(k=200)
    text = client.get("/metrics").body.decode()
    labels = 'endpoint="recommend",outcome="ok",surface="home",tenant="demo"'
    assert f"recsys_requests_total{{{labels}}} 2.0" in text
    assert 'recsys_lists_total{kind="short",surface="home",tenant="demo"} 1.0' in text
    assert 'recsys_problems_total{code="RECSYS_INVALID_REQUEST"} 1.0' in text
    assert 'le="0.0001"' in text


def test_a_defect_is_counted_as_a_server_error(client, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("recsys.service.lists.rank_list", fail)
    assert client.recommend().status == 500
    text = client.get("/metrics").body.decode()
    labels = 'endpoint="recommend",outcome="server_error",surface="home",tenant="demo"'
    assert f"recsys_requests_total{{{labels}}} 1.0" in text


def test_an_unwritable_log_does_not_stop_serving_and_readiness_says_so(client, tmp_path):
    folder = tmp_path / "logs" / "exposures"
    folder.parent.mkdir(parents=True)
    folder.write_text("a file where the folder should be")
    assert client.recommend().status == 200
    ready = client.get("/readyz")
    assert ready.status == 503
    (failing,) = [part for part in ready.json()["components"] if not part["ok"]]
    assert failing["name"] == "exposure_log"
    assert str(folder) in failing["detail"]
    assert 'recsys_exposure_write_failures_total{tenant="demo"} 1.0' in client.get("/metrics").body.decode()
    folder.unlink()
    assert client.get("/readyz").status == 200
    assert client.recommend().status == 200
    assert len(client.exposures()) == 1
    shutil.rmtree(folder)


def test_openapi_describes_every_route_and_resolves(client):
    text = client.get("/openapi.json").body.decode()
    api = client.get("/openapi.json").json()
    for path, methods in api["paths"].items():
        for method in methods:
            problem = client.send(method.upper(), path.replace("{tenant_id}", "demo")).body
            assert b"no route" not in problem
            assert b'"code":"RECSYS_METHOD_NOT_ALLOWED"' not in problem
    for name in re.findall(r'"#/components/schemas/([^"]+)"', text):
        assert name in api["components"]["schemas"]
    assert api["components"]["schemas"]["RecommendRequest"]["additionalProperties"] is False


def test_openapi_states_what_the_tenant_header_may_be(client):
    parameters = client.get("/openapi.json").json()["paths"]["/v1/recommend"]["post"]["parameters"]
    (tenant,) = (parameter for parameter in parameters if parameter["name"] == "X-Org-Id")
    pattern = tenant["schema"]["pattern"]
    assert [bool(re.search(pattern, name)) for name in ("demo", "", "..", "a/b")] == [
        True,
        False,
        False,
        False,
    ]


def test_docs_load_nothing_from_outside(client):
    page = client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert not re.search(rb"https?://|src=|@import", page.body)
