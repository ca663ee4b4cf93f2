"""Alerts fire when they should, name series that the service exports, and lead to runbooks that exist."""

import json
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest
import yaml

from recsys.observability.metrics import Metrics

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "prometheus" / "recsys.rules.yml"
DASHBOARD = ROOT / "deploy" / "grafana" / "recsys.json"
WRITTEN_BY_COMMANDS = {"recsys_join_rate"}
SERIES = re.compile(r"(?<![:\w])recsys_\w+")


@cache
def exported() -> set[str]:
    """Return every series name that a worker exports, with the suffixes of its kind."""
    suffixes = {"counter": ["_total"], "gauge": [""], "histogram": ["_bucket", "_count", "_sum"]}
    return {
        family.name + suffix for family in Metrics().families() for suffix in suffixes[family.type]
    } | WRITTEN_BY_COMMANDS


def expressions() -> dict[str, str]:
    rules = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    panels = json.loads(DASHBOARD.read_text())["panels"]
    targets = [
        (f"panel {panel['title']}", one["expr"]) for panel in panels for one in panel.get("targets", [])
    ]
    return {rule.get("alert") or rule["record"]: rule["expr"] for rule in rules} | dict(targets)


def test_alerts_fire_on_what_they_are_for_and_on_nothing_else() -> None:
    tests = RULES.with_name("recsys.rules.test.yml")
    done = subprocess.run(["promtool", "test", "rules", tests], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_test() -> None:
    rules = yaml.safe_load(RULES.read_text())
    alerts = {rule["alert"] for group in rules["groups"] for rule in group["rules"] if "alert" in rule}
    tested = RULES.with_name("recsys.rules.test.yml").read_text()
    # The three speeds of a budget are one expression with three numbers.
    missing = {name for name in alerts if re.sub("(Medium|Slow)$", "Fast", name) not in tested}
    assert not missing


@pytest.mark.parametrize(("where", "expression"), expressions().items(), ids=expressions().keys())
def test_expression_names_only_series_that_exist(where: str, expression: str) -> None:
    unknown = {name for name in SERIES.findall(expression) if name not in exported()}
    assert not unknown, where


def test_every_alert_links_a_runbook_that_exists() -> None:
    rules = yaml.safe_load(RULES.read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            if "alert" in rule:
                assert (ROOT / rule["annotations"]["runbook"]).is_file(), rule["alert"]


def test_dashboard_can_be_narrowed_to_a_tenant_and_a_surface() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    variables = {one["name"] for one in dashboard["templating"]["list"]}
    assert {"datasource", "tenant", "surface"} <= variables
    used = {name for one in expressions().values() for name in re.findall(r"\$(tenant|surface)", one)}
    assert used == {"tenant", "surface"}
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))
