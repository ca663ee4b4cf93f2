"""The admin console in a browser: preview, edit, save, history, rollback, by hand and by keyboard."""

from __future__ import annotations

import json
import re

import pytest
from tests.service.browser import browsing
from tests.service.conftest import NOW, write_tenant
from tests.service.processes import serving

from recsys.control.plane import ControlPlane
from recsys.service.console import CONSOLE_FILES

PATH = "/v1/admin/tenants/demo"
HOSTILE = '<img src=x onerror="window.wasRun=1"><script>window.wasRun=1</script>'
RULES = [
    {"rule_id": "hero", "action": "PIN", "target_type": "ITEM", "target_key": "i12", "name": HOSTILE},
    {"rule_id": "even", "action": "BOOST", "target_type": "TAG", "target_key": "even", "boost": 0.4},
]
FOCUSED = "document.activeElement.name"
TEXT = "document.getElementById('main').innerText"


def put(server, rules, comment=""):
    status, answer = server.ask("PUT", f"{PATH}/rules?comment={comment}", rules)
    assert status == 200, answer
    return answer["version"]


@pytest.mark.slow
def test_rules_are_previewed_edited_saved_compared_and_rolled_back(tmp_path):
    write_tenant(tmp_path, rules=RULES)
    with serving(tmp_path, "--dev") as server, browsing(tmp_path / "profile") as browser:
        first = server.ask("GET", f"{PATH}/rules/versions")[1]["versions"][0]["version"]
        second = put(server, RULES[1:], "no+hero")

        # Preview: the version before the current one beside what is served, explained.
        browser.visit(f"{server.url}/console", "Preview")
        browser.click("Rank")
        browser.wait("document.querySelectorAll('main table').length === 2")
        after = browser.run("document.querySelector('section[aria-label=After] tbody tr').innerText")
        assert "i12" in after
        assert "pin:hero" in after
        assert "popularity" in after

        # Edit by keyboard alone; a mistake is told at its field, and nothing is saved.
        browser.visit(f"{server.url}/console#/rules", "Rules")
        browser.tab_to("Edit even")
        browser.press("Enter")
        browser.wait(f"{FOCUSED} === 'rule_id'")
        browser.tab_to("Boost")
        browser.type("-3")
        browser.click("Save")
        browser.wait("document.activeElement.getAttribute('aria-invalid') === 'true'")
        assert browser.run(FOCUSED) == "boost"
        described = "document.getElementById(document.activeElement.id + '-fault').textContent"
        assert ">= -1" in browser.run(described)
        assert server.ask("GET", f"{PATH}/rules")[1] == RULES[1:]

        # The draft, mended, is previewed before it is saved.
        browser.type("-1")
        browser.click("Preview the draft")
        browser.wait("document.querySelectorAll('main table').length === 2")
        assert browser.run("document.querySelectorAll('section[aria-label=After] .badge.good').length") > 0
        browser.click("Rules")
        browser.wait("document.querySelector('h1').textContent === 'Rules'")

        # Somebody else saves in between: nothing is overwritten until that is said to be meant.
        theirs = put(server, [*RULES[1:], {**RULES[0], "rule_id": HOSTILE[:128]}], "theirs")
        browser.click("Save")
        browser.wait("!!document.querySelector('.notice .diff')")
        assert server.ask("GET", f"{PATH}/rules/versions")[1]["versions"][0]["version"] == theirs
        browser.click("Keep my draft, to save over it")
        browser.click("Save")
        browser.wait("document.getElementById('said').innerText.includes('Saved as version 4')")
        assert server.ask("GET", f"{PATH}/rules")[1] == [{**RULES[1], "boost": -1}]

        # History: the difference, then the way back, with a comment.
        browser.click("History")
        browser.wait("document.querySelector('h1').textContent === 'History'")
        browser.click("Compare version 1 with the current one")
        browser.wait("!!document.querySelector('.diff .removed')")
        removed = "[...document.querySelectorAll('.removed')].map(e => e.textContent).join('')"
        assert json.dumps(HOSTILE) in browser.run(removed)
        browser.click("Roll back to version 1")
        browser.wait(f"{FOCUSED} === 'comment'")
        browser.type("it was right")
        browser.press("Enter")
        browser.wait("document.getElementById('said').innerText.includes('Rolled back')")
        (current,) = (
            one for one in server.ask("GET", f"{PATH}/rules/versions")[1]["versions"] if one["is_current"]
        )
        assert current["version"] == first
        assert second != first
        assert "it was right" in json.dumps(server.ask("GET", f"{PATH}/audit")[1])

        browser.click("Health")
        browser.wait("document.querySelector('h1').textContent === 'Health'")
        assert "it was right" in browser.run(TEXT)
        assert "snapshot demo/home" in browser.run(TEXT)

        # What is stored stays text, and nobody else was asked for anything.
        browser.visit(f"{server.url}/console#/rules", "Rules")
        browser.wait(f"{TEXT}.includes('onerror')")
        assert browser.run("window.wasRun ?? null") is None
        assert browser.run("document.querySelectorAll('img').length") == 0
        outside = [one for one in browser.requested if not one.startswith((server.url, "data:"))]
        assert [one for one in outside if one != "about:blank"] == []
        assert not [one for one in browser.faults if "Failed to load resource" not in one]


@pytest.mark.slow
def test_without_development_a_key_is_asked_for_and_a_viewer_changes_nothing(tmp_path):
    write_tenant(tmp_path, rules=RULES)
    plane = ControlPlane.open(tmp_path / "control")
    key = plane.issue_key("demo", ("viewer",), actor="test")[1]
    plane.close()
    options = ("--admin-port", "0")
    with serving(tmp_path, *options, n_lines=2) as server, browsing(tmp_path / "profile") as browser:
        public, console = server.urls[0], server.urls[1]
        assert server.ask("GET", "/console")[0] == 404
        for name in ["", *(f"/{name}" for name in CONSOLE_FILES)]:
            connection = server.connect(console)
            connection.request("GET", f"/console{name}")
            assert connection.getresponse().status == 200
            connection.close()
        assert public != console
        browser.visit(f"{console}/console#/rules", "Sign in")
        browser.run("document.querySelector('[name=key]').focus()")
        browser.type("nonsense")
        browser.press("Enter")
        browser.wait("!!document.querySelector('[name=key][aria-invalid=true]')")
        browser.run("document.querySelector('[name=key]').focus()")
        browser.type(key)
        browser.press("Enter")
        browser.wait("document.querySelector('h1').textContent === 'Rules'")
        assert browser.run("document.querySelectorAll('[name=comment]').length") == 0
        assert browser.run("document.cookie + localStorage.length") == "0"
        browser.click("Sign out")
        browser.wait("document.querySelector('h1').textContent === 'Sign in'")
        assert browser.run("JSON.stringify(sessionStorage)") == "{}"


def test_the_console_lets_nothing_else_in(client):
    answer = client.get("/console")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    page = answer.body.decode()
    assert re.findall(r"(?:src|href)=\"(?!/console/|#|data:,)", page) == []
    for name, content_type in CONSOLE_FILES.items():
        part = client.get(f"/console/{name}")
        assert part.headers["content-type"] == content_type
        assert part.headers["x-content-type-options"] == "nosniff"
        for written in (
            b"innerHTML",
            b"insertAdjacentHTML",
            b"document.write",
            b"eval(",
            b"http://",
            b"https://",
        ):
            assert written not in part.body, name
    assert client.get("/console/../settings.py").status == 404


def compare(client, **sides):
    request = {"surface": "home", "k": 3, "user": {"user_id": "u"}, "context": {"now": NOW}}
    return client.post(f"{PATH}/preview", {"request": request, **sides})


def test_a_request_is_ranked_by_versions_of_the_history_and_by_a_draft(client):
    first = client.send(
        "PUT", f"{PATH}/rules", json.dumps(RULES[:1]).encode(), content_type="application/json"
    ).json()["version"]
    client.send("PUT", f"{PATH}/rules", b"[]", content_type="application/json")
    client.watcher.refresh()
    config = client.send(
        "PUT", f"{PATH}/config", b'{"limits": {"max_k": 2}}', content_type="application/json"
    ).json()["version"]
    answer = compare(
        client, before={"rules_version": first}, after={"rules": [{**RULES[0], "target_key": "i09"}]}
    )
    before, after = answer.json()["before"], answer.json()["after"]
    assert before["items"][0]["item_id"] == "i12"
    assert before["meta"]["rules_version"] == first
    assert after["items"][0]["item_id"] == "i09"
    refused = compare(client, before={"config_version": config})
    assert (refused.status, refused.json()["code"]) == (400, "RECSYS_INVALID_REQUEST")
    assert "max" in refused.json()["detail"] or "most 2" in refused.json()["detail"]


@pytest.mark.parametrize(
    ("side", "code", "detail"),
    [
        ({"rules": [{"rule_id": "x"}]}, "RECSYS_INVALID_RULES", "rules[0]"),
        ({"rules": [], "rules_version": "a" * 64}, "RECSYS_INVALID_REQUEST", "after: give either"),
        ({"rules_version": "a" * 64}, "RECSYS_RULES_NOT_FOUND", "after.rules_version"),
        ({"config_version": "a" * 64}, "RECSYS_CONFIG_NOT_FOUND", "after.config_version"),
    ],
)
def test_a_side_that_cannot_be_ranked_says_why(client, side, code, detail):
    answer = compare(client, after=side)
    assert answer.json()["code"] == code
    assert detail in answer.json()["detail"]


def test_the_status_names_who_asks_and_what_serves(client):
    status = client.get(f"{PATH}/status").json()
    assert status["subject"] == "development"
    (home,) = status["surfaces"]
    assert home["surface"] == "home"
    assert home["signals"] == ["cooc", "popularity"]
    assert home["released_at"] <= home["compiled_at"] <= status["time"]
    assert home["failure"] == ""
