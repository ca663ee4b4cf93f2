"""A Prometheus is asked for the alerts that we ship, and its Alertmanagers for who is told."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import yaml
from tests.pilot.prometheus import prometheus, wait_until

from recsys.contracts.errors import RecsysError, UsageError
from recsys.pilot.alerting import ALERTS, ask_prometheus
from recsys.pilot.evidence_files import read_evidence

RULES = Path(__file__).parents[2] / "deploy" / "prometheus" / "recsys.rules.yml"


@contextmanager
def answering(routes: dict[str, object]) -> Iterator[str]:
    """Serve JSON by path; yields host and port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(routes.get(self.path)).encode()
            self.send_response(200 if self.path in routes else 404)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def config_of(rules: list[str], alertmanagers: list[str]) -> dict[str, object]:
    return {
        "rule_files": rules,
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": alertmanagers}]}]},
    }


def test_alerts_that_are_asked_for_are_those_of_the_rules() -> None:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    assert list(ALERTS) == [rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule]


@pytest.mark.slow
def test_a_prometheus_with_the_rules_and_an_alertmanager_is_complete(tmp_path: Path) -> None:
    with (
        answering({"/api/v2/receivers": [{"name": "on-call"}]}) as manager,
        prometheus(tmp_path, config_of([str(RULES)], [manager, "127.0.0.1:9"])) as url,
    ):
        wait_until(lambda: bool(ask_prometheus(url).alertmanagers))
        found = ask_prometheus(url)
    assert found.missing() == []
    assert (found.alertmanagers, found.receivers) == ([manager], ["on-call"])


@pytest.mark.slow
def test_a_prometheus_without_rules_lacks_all_of_them(tmp_path: Path) -> None:
    with prometheus(tmp_path, config_of([], [])) as url:
        found = ask_prometheus(url)
    assert found.missing() == list(ALERTS)
    assert found.alertmanagers == found.receivers == []


def test_what_is_no_prometheus_is_told(tmp_path: Path) -> None:
    with pytest.raises(RecsysError, match="answered nothing"):
        ask_prometheus("http://127.0.0.1:9")
    with (
        answering({"/api/v1/rules?type=alert": {"hello": 1}}) as other,
        pytest.raises(RecsysError, match="not what a Prometheus answers"),
    ):
        ask_prometheus(f"http://{other}")
    with pytest.raises(UsageError):
        ask_prometheus("prometheus:9090")


def test_a_rule_that_cannot_be_evaluated_is_missing_and_the_answer_is_evidence(tmp_path: Path) -> None:
    rules = [{"name": name, "type": "alerting", "health": "ok"} for name in ALERTS]
    rules[0]["health"] = "err"
    routes = {
        "/api/v1/rules?type=alert": {"status": "success", "data": {"groups": [{"rules": rules}]}},
        "/api/v1/alertmanagers": {"status": "success", "data": {"activeAlertmanagers": []}},
    }
    with answering(routes) as address:
        found = ask_prometheus(f"http://{address}")
    assert found.missing() == [ALERTS[0]]
    from recsys.cli.pilot import alerts

    with answering(routes) as address:
        assert alerts(prometheus=f"http://{address}", out=tmp_path / "alerts.json") == 1
    (read,) = read_evidence([tmp_path]).alertings
    assert read.alerts == found.alerts
