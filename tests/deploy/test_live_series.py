"""A real Prometheus scrapes a service: panels show data, and alerts see the first fault of their kind."""

import json
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar
from urllib.parse import urlencode

import psutil
import pytest
import yaml
from tests.pilot.prometheus import prometheus, wait_until

from recsys.pilot.asking import ask
from recsys.pilot.drills.scratch import ITEMS, SURFACE, TENANT
from recsys.pilot.drills.stage import Stage, list_of
from recsys.pilot.drills.visitors import visit
from recsys.pilot.service_process import ServiceProcess

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "prometheus" / "recsys.rules.yml"
CHOICES = {"the one": {"tenant": TENANT, "surface": SURFACE}, "all": {"tenant": ".*", "surface": ".*"}}
RATE_INTERVAL = "1m"
"""What Grafana takes for ``$__rate_interval`` when Prometheus scrapes every 15 seconds."""

pytestmark = pytest.mark.slow


@cache
def dashboard() -> dict:
    return json.loads((DEPLOY / "grafana" / "recsys.json").read_text())


def queries() -> dict[str, str]:
    """Return every expression of a panel by the panel's title and the expression's letter."""
    return {
        f"{panel['title']} {target['refId']}": target["expr"]
        for panel in dashboard()["panels"]
        for target in panel.get("targets", [])
    }


def filled(expression: str, variables: dict[str, str]) -> str:
    text = expression.replace("$__rate_interval", RATE_INTERVAL)
    return re.sub(r"\$(\w+)", lambda found: variables[found[1]], text)


def alert(name: str) -> str:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return next(rule["expr"] for group in groups for rule in group["rules"] if rule.get("alert") == name)


class Watched:
    """A service and the Prometheus that scrapes it."""

    def __init__(self, url: str, stage: Stage, service: ServiceProcess) -> None:
        self.url, self.stage, self.service = url, stage, service

    def values(self, expression: str) -> list[float]:
        """Return the value of each series of an expression, but for those that are not a number."""
        answer = ask(f"{self.url}/api/v1/query?{urlencode({'query': expression})}").json()
        assert answer["status"] == "success", answer
        values = [float(series["value"][1]) for series in answer["data"]["result"]]
        return [value for value in values if not math.isnan(value)]

    def label_values(self, label: str, series: str) -> list[str]:
        answer = ask(f"{self.url}/api/v1/label/{label}/values?{urlencode({'match[]': series})}").json()
        return answer["data"]

    def wait_for_scrapes(self, n: int) -> None:
        """Wait until so many more scrapes of the service have ended."""
        wanted = self._n_scrapes() + n
        wait_until(lambda: self._n_scrapes() >= wanted)

    def _n_scrapes(self) -> float:
        return sum(self.values('count_over_time(up{job="recsys"}[1h])'))


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder, as a node exporter does that of its textfile collector; yields the address."""

    class Handler(SimpleHTTPRequestHandler):
        extensions_map: ClassVar = {"": "text/plain"}

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def write_join_rates(stage: Stage, service: ServiceProcess, path: Path) -> None:
    """Let users click, and validate the logs as every night."""
    visit(service, [f"visitor-{number}" for number in range(5)])
    logs = stage.data_dir / "logs"
    stage.command(
        *("eval", "validate", "--prometheus", str(path)),
        *("--exposures", str(logs / "exposures"), "--outcomes", str(logs / "outcomes")),
    )


def load(service: ServiceProcess, watched: Watched) -> None:
    """Ask in every way that is counted, until rates can be told."""
    for _ in range(4):
        list_of(service)
        service.post("/v1/similar", {"surface": SURFACE, "item_id": ITEMS[0]}, x_org_id=TENANT)
        service.post("/v1/recommend", {"surface": SURFACE}, x_org_id=TENANT)  # a problem: nobody asks
        watched.wait_for_scrapes(1)


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("watched")
    textfiles = folder / "textfiles"
    textfiles.mkdir()
    stage = Stage(folder)
    stage.scratch.publish()
    try:
        service = stage.serve()
        write_join_rates(stage, service, textfiles / "metrics")
        with served(textfiles) as node:
            targets = {"recsys": service.url.removeprefix("http://"), "node": node}
            config: dict[str, object] = {
                "global": {"scrape_interval": "250ms", "scrape_timeout": "250ms"},
                "rule_files": [str(RULES)],
                "scrape_configs": [
                    {"job_name": job, "static_configs": [{"targets": [target]}]}
                    for job, target in targets.items()
                ],
            }
            with prometheus(folder, config) as url:
                watched = Watched(url, stage, service)
                watched.wait_for_scrapes(2)
                load(service, watched)
                yield watched
    finally:
        stage.close()


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("query", queries())
def test_every_panel_shows_data_under_a_little_load(watched: Watched, query: str, choice: str) -> None:
    assert watched.values(filled(queries()[query], CHOICES[choice]))


def test_the_variables_offer_the_tenants_and_surfaces_that_are_served(watched: Watched) -> None:
    offered = {}
    for variable in dashboard()["templating"]["list"]:
        if variable["type"] == "query":
            series, label = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"]).groups()
            offered[variable["name"]] = watched.label_values(label, filled(series, CHOICES["all"]))
    assert offered == {"tenant": [TENANT], "surface": [SURFACE]}


def test_no_alert_has_reason_to_fire_while_all_is_well(watched: Watched) -> None:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    alerts = {rule["alert"]: rule["expr"] for group in groups for rule in group["rules"] if "alert" in rule}
    assert {name for name, expression in alerts.items() if watched.values(expression)} == set()


def test_the_first_exposure_that_is_lost_is_seen(watched: Watched) -> None:
    workers = watched.service.workers()
    for worker in workers:
        worker.rlimit(psutil.RLIMIT_FSIZE, (1, worker.rlimit(psutil.RLIMIT_FSIZE)[1]))
    list_of(watched.service)
    for worker in workers:
        hard = worker.rlimit(psutil.RLIMIT_FSIZE)[1]
        worker.rlimit(psutil.RLIMIT_FSIZE, (hard, hard))
    watched.wait_for_scrapes(2)
    assert watched.values(alert("RecsysExposuresLost"))


def test_the_first_release_that_cannot_be_served_is_seen(watched: Watched) -> None:
    pointer = watched.stage.scratch.registry_dir / "current" / TENANT / SURFACE / "manifest.json"
    document = json.loads(pointer.read_text())
    document["artifacts"]["popularity"]["sha256"] = "0" * 64
    del document["version"]
    pointer.write_text(json.dumps(document))
    stale = alert("RecsysSnapshotFailures")
    wait_until(lambda: bool(watched.values(stale)))
    watched.wait_for_scrapes(2)
    assert watched.values(f"increase(recsys_snapshot_failures_total{{tenant='{TENANT}'}}[10m]) > 0")
