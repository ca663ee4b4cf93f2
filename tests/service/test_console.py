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
INVALID = "document.activeElement.getAttribute('aria-invalid') === 'true'"
FAULT = "document.getElementById(document.activeElement.id + '-fault').textContent"
DOCUMENT = "document.querySelector('[name=document]').value"
PAGES = ["Preview", "Rules", "Config", "Experiments", "History", "Health"]
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
        before = browser.run("document.querySelector('section[aria-label=Before] tbody tr').innerText")
        assert "i12" in before
        assert "pin:hero" in before
        assert "popularity" in before

        # Edit by keyboard alone; a mistake is told at its field, and nothing is saved.
        browser.visit(f"{server.url}/console#/rules", "Rules")
        browser.tab_to("Edit even")
        browser.press("Enter")
        browser.wait(f"{FOCUSED} === 'rule_id'")
        browser.tab_to("Boost")
        browser.type("-3")
        browser.click("Save")
        browser.wait(INVALID)
        assert browser.run(FOCUSED) == "boost"
        assert ">= -1" in browser.run(FAULT)
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
def test_rules_whose_target_no_catalog_has_are_warned_of_in_the_preview_and_when_saved(tmp_path):
    write_tenant(tmp_path, rules=RULES)
    with serving(tmp_path, "--dev") as server, browsing(tmp_path / "profile") as browser:
        browser.visit(f"{server.url}/console#/rules", "Rules")
        browser.tab_to("Edit even")
        browser.press("Enter")
        browser.wait(f"{FOCUSED} === 'rule_id'")
        browser.tab_to("Target key")
        browser.type("evn")
        browser.click("Preview the draft")
        browser.wait("document.querySelectorAll('main table').length === 2")
        assert "RULE_TARGET_UNKNOWN rules[1].target_key: the catalog of home has no tag 'evn'" in browser.run(
            TEXT
        )
        browser.click("Rules")
        browser.wait("document.querySelector('h1').textContent === 'Rules'")
        browser.click("Save")
        browser.wait("!!document.querySelector('.notice.caution')")
        assert "the catalog of home has no tag 'evn'" in browser.run(
            "document.querySelector('.notice.caution').textContent"
        )
        assert server.ask("GET", f"{PATH}/rules")[1][1]["target_key"] == "evn"


@pytest.mark.slow
def test_the_config_is_edited_by_form_and_as_text_and_its_draft_is_previewed(tmp_path):
    write_tenant(tmp_path, rules=[])
    with serving(tmp_path, "--dev") as server, browsing(tmp_path / "profile") as browser:
        # A mistake is told at its field, on the surface that it is about; nothing is saved.
        browser.visit(f"{server.url}/console#/config", "Config")
        browser.tab_to("Surface")
        browser.type("home")
        browser.tab_to("MMR lambda")
        browser.type("3")
        browser.click("Save")
        browser.wait(INVALID)
        assert browser.run(FOCUSED) == "mmr_lambda"
        assert "<= 1.0" in browser.run(FAULT)
        assert server.ask("GET", f"{PATH}/config")[0] == 404
        browser.type("0.5")
        assert json.loads(browser.run(DOCUMENT)) == {"surfaces": {"home": {"mmr_lambda": 0.5}}}

        # Text that is not JSON is kept, and told with its line; what has no field is shown in the text.
        browser.run("document.querySelector('[name=document]').focus()")
        browser.type('{"flags": {},\n oops}')
        assert "Line 2, column 2" in browser.run(FAULT)
        browser.click("Health")
        browser.wait("document.querySelector('h1').textContent === 'Health'")
        browser.click("Config")
        browser.wait("document.querySelector('h1').textContent === 'Config'")
        assert browser.run(DOCUMENT) == '{"flags": {},\n oops}'
        browser.run("document.querySelector('[name=document]').focus()")
        browser.type(json.dumps({"segmentation": [{"segment": "vip"}]}))
        browser.click("Save")
        browser.wait(INVALID)
        assert "matches everyone" in browser.run(FAULT)
        selected = "(e => e.value.slice(e.selectionStart, e.selectionEnd))(document.activeElement)"
        assert json.loads(browser.run(selected)) == {"segment": "vip"}

        # A draft that cannot be used leads back to its field; a good one is ranked before it is saved.
        browser.type(json.dumps({"defaults": {"brand_cap": 0}}))
        browser.click("Preview the draft")
        browser.click("Back to the config")
        browser.wait(f"{FOCUSED} === 'brand_cap'")
        assert ">= 1" in browser.run(FAULT)
        browser.type("1")
        browser.click("Preview the draft")
        browser.wait("document.querySelectorAll('main table').length === 2")
        ranked = "document.querySelectorAll('section[aria-label={}] tbody tr').length"
        assert browser.run(ranked.format("Before")) == 10
        assert browser.run(ranked.format("After")) == 5
        assert server.ask("GET", f"{PATH}/config")[0] == 404

        # Somebody else saves in between: both are shown, and nothing is overwritten.
        theirs = server.ask("PUT", f"{PATH}/config", {"limits": {"max_k": 50}})[1]["version"]
        browser.click("Config")
        browser.wait("document.querySelector('h1').textContent === 'Config'")
        browser.click("Save")
        browser.wait("!!document.querySelector('.notice .diff')")
        assert server.ask("GET", f"{PATH}/config/versions")[1]["versions"][0]["version"] == theirs
        browser.click("Keep my draft, to save over it")
        browser.click("Save")
        browser.wait("document.getElementById('said').innerText.includes('Saved as version 2')")
        assert server.ask("GET", f"{PATH}/config")[1] == {"defaults": {"brand_cap": 1}}
        assert browser.run("document.querySelector('button.main').disabled") is True
        assert not [one for one in browser.faults if "Failed to load resource" not in one]


LOOKS = """(() => {
  const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (parts) => parts.slice(0, 3).map((one) => one / 255)
    .map((one) => (one <= 0.03928 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4))
    .reduce((sum, one, at) => sum + one * [0.2126, 0.7152, 0.0722][at], 0);
  const behind = (node) => {
    const parts = rgb(getComputedStyle(node).backgroundColor);
    return (parts[3] ?? 1) > 0.5 || !node.parentElement ? parts : behind(node.parentElement);
  };
  const found = [];
  for (const node of document.querySelectorAll('body *')) {
    const text = [...node.childNodes].some((one) => one.nodeType === 3 && one.data.trim());
    if (!text || !node.checkVisibility() || node.matches(':disabled, option')) continue;
    const [a, b] = [light(rgb(getComputedStyle(node).color)), light(behind(node))].sort();
    if ((b + 0.05) / (a + 0.05) < 4.5) found.push(`${node.tagName} ${node.textContent.slice(0, 40)}`);
  }
  for (const node of document.querySelectorAll('input, select, textarea, button, a')) {
    const name = node.getAttribute('aria-label') ?? node.labels?.[0]?.textContent ?? node.textContent;
    if (!name.trim()) found.push(`${node.outerHTML.slice(0, 80)} has no name`);
    if (node.tabIndex > 0) found.push(`${name} is out of the order of the page`);
  }
  const wide = document.documentElement.scrollWidth - innerWidth;
  return wide > 0 ? [...found, `${wide} pixels too wide`] : found;
})()"""


@pytest.mark.slow
def test_pages_can_be_read_in_light_and_dark_on_a_phone_and_by_their_names(tmp_path):
    write_tenant(tmp_path, rules=RULES, config="[config.surfaces.home]\nschedule_hours = 24")
    with serving(tmp_path, "--dev") as server, browsing(tmp_path / "profile") as browser:
        size = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
        papers = set()
        for scheme in ("light", "dark"):
            feature = {"name": "prefers-color-scheme", "value": scheme}
            browser.send("Emulation.setEmulatedMedia", features=[feature])
            for page in PAGES:
                browser.send("Emulation.clearDeviceMetricsOverride")
                browser.visit(f"{server.url}/console#/{page.lower()}", page)
                if page == "Preview":
                    browser.click("Rank")
                    browser.wait("document.querySelectorAll('main table').length === 2")
                if page == "Health":
                    assert "✓ fresh" in browser.run(TEXT)
                assert browser.run(LOOKS) == [], (scheme, page)
                browser.send("Emulation.setDeviceMetricsOverride", **size)
                assert browser.run(LOOKS) == [], (scheme, page, "phone")
            papers.add(browser.run("getComputedStyle(document.body).backgroundColor"))
        assert len(papers) == 2

        # The keyboard goes through the page as it is read: past the head, or through it.
        browser.send("Emulation.clearDeviceMetricsOverride")
        browser.visit(f"{server.url}/console#/rules", "Rules")
        browser.run("document.querySelector('.skip').focus()")
        order = [browser.run("document.activeElement.textContent")]
        while len(order) <= len(PAGES):
            browser.press("Tab")
            order.append(browser.run("document.activeElement.textContent"))
        assert order == ["Skip to the page", *PAGES]
        browser.run("document.querySelector('.skip').focus()")
        browser.press("Enter")
        browser.tab_to("Add a rule", limit=2)


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
        browser.click("Config")
        browser.wait("document.querySelector('h1').textContent === 'Config'")
        assert browser.run("document.querySelectorAll('[name=comment]').length") == 0
        named = "[...document.querySelectorAll('main [name]:not([name^=scope_])')]"
        assert browser.run(f"{named}.length") > 20
        assert browser.run(f"{named}.filter(e => !e.disabled && !e.readOnly).length") == 0
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
    drafted = compare(client, after={"config": {"defaults": {"brand_cap": 1}}, "rules_version": first})
    assert drafted.json()["after"]["items"][0]["item_id"] == "i12"
    assert (
        drafted.json()["after"]["meta"]["config_version"]
        != drafted.json()["before"]["meta"]["config_version"]
    )
    refused = compare(client, before={"config_version": config})
    assert (refused.status, refused.json()["code"]) == (400, "RECSYS_INVALID_REQUEST")
    assert "max" in refused.json()["detail"] or "most 2" in refused.json()["detail"]


@pytest.mark.parametrize(
    ("side", "code", "detail"),
    [
        ({"rules": [{"rule_id": "x"}]}, "RECSYS_INVALID_RULES", "rules[0]"),
        ({"config": {"defaults": {"mode": "x"}}}, "RECSYS_INVALID_CONFIG", "defaults.mode"),
        ({"rules": [], "rules_version": "a" * 64}, "RECSYS_INVALID_REQUEST", "after: give either rules"),
        ({"config": {}, "config_version": "a" * 64}, "RECSYS_INVALID_REQUEST", "after: give either config"),
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
