"""The console's page of experiments in a browser: from a draft with a mistake to the way back."""

from __future__ import annotations

import json

import pytest
from tests.service.browser import browsing
from tests.service.conftest import write_tenant
from tests.service.processes import serving

from recsys.control.plane import ControlPlane

PATH = "/v1/admin/tenants/demo/experiments"
HOSTILE = '<img src=x onerror="window.wasRun=1">'
DRAFT = {
    "id": "mine",
    "surface": "home",
    "arms": [{"name": "control"}, {"name": "related", "mode": "cooc"}],
    "primary_metric": {"name": "ctr"},
    "guardrails": [{"metric": "error_rate", "margin": 0.01}],
    "description": HOSTILE,
}
HEADING = "document.querySelector('h1')?.textContent === 'Experiments'"
FAULT = "document.getElementById(document.querySelector('[name=experiment]').id + '-fault').textContent"
ROW = "[...document.querySelectorAll('tbody tr')].map(row => row.innerText).join('|')"


def confirm(browser, label: str) -> None:
    browser.click(f"{label} mine")
    browser.wait("!!document.querySelector('dialog[open]')")
    browser.press("Enter")


@pytest.mark.slow
def test_an_experiment_goes_from_a_draft_to_its_rollback_in_the_console(tmp_path):
    write_tenant(tmp_path)
    with serving(tmp_path, "--dev") as server, browsing(tmp_path / "profile") as browser:

        def experiment() -> dict:
            return server.ask("GET", PATH)[1]["experiments"][0]

        browser.visit(f"{server.url}/console#/experiments", "Experiments")
        browser.click("New experiment")
        browser.wait("document.activeElement.name === 'experiment'")
        browser.type("{")
        browser.click("Keep as a draft")
        browser.wait(f"{FAULT} !== ''")
        browser.type(json.dumps(DRAFT | {"arms": [{"name": "a", "weight": -1}]}))
        browser.click("Keep as a draft")
        browser.wait(f"{FAULT}.includes('arms[0].weight')")
        browser.type(json.dumps(DRAFT))
        browser.click("Keep as a draft")
        browser.wait(f"{ROW}.includes('draft')")

        # Without a rollback path it does not start; the draft is edited in its place.
        confirm(browser, "Start")
        browser.wait("document.querySelector('.notice.bad')?.textContent.includes('mine.rollback')")
        browser.click("Edit mine")
        browser.wait("document.activeElement.name === 'experiment'")
        browser.type(json.dumps(DRAFT | {"rollback": {"to": "current"}}))
        browser.click("Keep as a draft")
        browser.wait(f"document.getElementById('said').innerText.includes('draft') && {HEADING}")
        browser.wait("!document.querySelector('.notice.bad')")
        confirm(browser, "Start")
        browser.wait(f"{ROW}.includes('running')")
        assert experiment()["state"] == "running"

        browser.click("Ramp mine")
        browser.wait("document.activeElement.name === 'percent'")
        browser.type("25")
        browser.press("Enter")
        browser.wait(f"{ROW}.includes('25 %')")
        assert experiment()["traffic_share"] == 0.25
        confirm(browser, "Halt")
        browser.wait(f"{ROW}.includes('halted')")
        confirm(browser, "Resume")
        browser.wait(f"!{ROW}.includes('halted')")
        confirm(browser, "Roll back")
        browser.wait(f"{ROW}.includes('rolled_back')")
        assert experiment()["state"] == "rolled_back"
        assert browser.run("window.wasRun ?? null") is None
        assert not [one for one in browser.faults if "Failed to load resource" not in one]


@pytest.mark.slow
def test_a_viewer_sees_experiments_and_changes_none(tmp_path):
    write_tenant(tmp_path)
    plane = ControlPlane.open(tmp_path / "control")
    plane.put("demo", "experiments", json.dumps({"experiments": [DRAFT]}).encode(), author="test")
    key = plane.issue_key("demo", ("viewer",), actor="test")[1]
    plane.close()
    with (
        serving(tmp_path, "--admin-port", "0", n_lines=2) as server,
        browsing(tmp_path / "profile") as browser,
    ):
        browser.visit(f"{server.urls[1]}/console#/experiments", "Sign in")
        browser.run("document.querySelector('[name=tenant]').value = 'demo'")
        browser.run("document.querySelector('[name=key]').focus()")
        browser.type(key)
        browser.press("Enter")
        browser.wait(f"{HEADING} && {ROW}.includes('mine')")
        buttons = "[...document.querySelectorAll('main button')].map(one => one.textContent).join()"
        assert browser.run(buttons) == "Show"
