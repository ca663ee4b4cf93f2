"""The log line and the trace of a request say what it was, and nothing of who asked."""

import json

import structlog
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from recsys.observability.traces import Tracer
from recsys.service.app import App
from recsys.service.auth import DevelopmentAuthenticator
from recsys.service.recorders import RequestLog, RequestTraces

USER = "somebody-7"


def record(client, *recorders):
    client.app = App(client.state, client.watcher, DevelopmentAuthenticator("demo"), recorders=recorders)


def test_a_line_for_each_request(client):
    with structlog.testing.capture_logs() as lines:
        record(client, RequestLog())
        client.recommend({"x_request_id": "r-1"}, user={"user_id": USER})
        client.recommend({"x_request_id": "r-2"}, k=0, user={"user_id": USER})
        client.get("/v1/admin/tenants/demo/rules")
        client.get("/elsewhere/ann@example.com")
    found = [(one["route"], one["status"], one["tenant"]) for one in lines]
    assert found == [
        ("/v1/recommend", 200, "demo"),
        ("/v1/recommend", 400, "demo"),
        ("/v1/admin/tenants/{tenant_id}/rules", 404, "demo"),
        ("", 404, ""),
    ]
    assert [one["request_id"] for one in lines[:2]] == ["r-1", "r-2"]
    assert all(one["duration_ms"] >= 0 for one in lines)
    assert USER not in json.dumps(lines)
    assert "example.com" not in json.dumps(lines)


def test_a_span_for_each_request_below_that_of_its_caller(client):
    exporter = InMemorySpanExporter()
    tracer = Tracer(exporter)
    record(client, RequestTraces(tracer))
    trace_id, span_id = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    client.recommend(
        {"traceparent": f"00-{trace_id}-{span_id}-01", "x_request_id": "r-1"}, user={"user_id": USER}
    )
    client.recommend({"traceparent": "nonsense"}, k=0)
    tracer.close()
    first, second = exporter.get_finished_spans()
    assert (first.name, first.kind) == ("POST /v1/recommend", SpanKind.SERVER)
    assert f"{first.context.trace_id:032x}" == trace_id
    assert f"{first.parent.span_id:016x}" == span_id
    assert first.attributes["http.response.status_code"] == 200
    assert first.attributes["recsys.request_id"] == "r-1"
    assert first.start_time < first.end_time
    assert second.parent is None
    assert USER not in first.to_json()


def test_a_failure_of_the_service_is_one_of_its_span(client, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    exporter = InMemorySpanExporter()
    tracer = Tracer(exporter)
    record(client, RequestTraces(tracer))
    monkeypatch.setattr("recsys.service.lists.rank_list", fail)
    client.recommend()
    tracer.close()
    (span,) = exporter.get_finished_spans()
    assert not span.status.is_ok
