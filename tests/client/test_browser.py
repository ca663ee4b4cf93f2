"""The browser snippet in a browser: what was seen and clicked arrives, also when the first tries fail."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path

import msgspec
import pytest

from recsys.contracts.events import EventsRequest

SNIPPET = files("recsys.service").joinpath("browser_events.js").read_text()
PAGE = """<!doctype html><meta charset="utf-8"><script>{snippet}</script>
<ol id="list"><li data-item-id="i1"><a href="#1">one</a></li><li data-item-id="i2">two</li></ol>
<div style="height: 5000px"></div><ol id="below"><li data-item-id="i9">far below</li></ol>
<script>
localStorage.clear();
recsys.init({{userId: 'u1', every: 50, ms: 100}});
const about = {{requestId: 'r1', exposures: true, context: {{surface: 'home'}}}};
recsys.list(document.getElementById('list'), about);
recsys.list(document.getElementById('below'), {{requestId: 'r2', exposures: true}});
setTimeout(() => document.querySelector('a').click(), 200);
setTimeout(() => recsys.conversion('r1', 'i2', 9.5), 300);
setTimeout(() => fetch('/sent').then(() => {{ location.href = '/next'; }}), {leave_after_ms});
</script>"""


class Site(ThreadingHTTPServer):
    """Serves the page and takes events, refusing the first few."""

    def __init__(self, refusals: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.refusals = refusals
        self.bodies: list[bytes] = []
        self.left = threading.Event()


class Handler(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        page = PAGE.format(snippet=SNIPPET, leave_after_ms=2500 if self.server.refusals else 1200)
        self.answer(200, page.encode() if self.path == "/" else b"ok")
        if self.path == "/next":
            self.server.left.set()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        assert self.path == "/v1/events"
        assert self.headers["content-type"] == "application/json"
        if self.server.refusals > 0:
            self.server.refusals -= 1
            self.answer(503, b"{}")
            return
        self.server.bodies.append(body)
        self.answer(200, b"{}")

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", "text/html")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Keep the test's output clean."""


def serve(refusals: int) -> Iterator[Site]:
    site = Site(refusals)
    thread = threading.Thread(target=site.serve_forever)
    thread.start()
    yield site
    site.shutdown()
    thread.join()
    site.server_close()


def visit(site: Site, profile: Path) -> list[EventsRequest]:
    """Open the page, wait until it was left, and return what arrived."""
    browser = shutil.which("chromium")
    assert browser is not None, "the tests of the snippet need the package chromium"
    command = [
        *(
            browser,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
        ),
        *(f"--user-data-dir={profile}", "--window-size=800,600", "--remote-debugging-port=0"),
        f"http://127.0.0.1:{site.server_address[1]}/",
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            assert site.left.wait(60), "the page was not left"
            time.sleep(0.5)
        finally:
            process.terminate()
    return [msgspec.json.decode(body, type=EventsRequest) for body in site.bodies]


@pytest.mark.slow
@pytest.mark.parametrize("refusals", [0, 2])
def test_what_was_seen_and_clicked_arrives(tmp_path: Path, refusals: int) -> None:
    for site in serve(refusals):
        arrived = visit(site, tmp_path)
    outcomes = {(o.request_id, o.item_id, o.event_type, o.value) for body in arrived for o in body.outcomes}
    assert outcomes == {("r1", "i1", "click", None), ("r1", "i2", "conversion", 9.5)}
    exposures = {msgspec.json.encode(e): e for body in arrived for e in body.exposures}
    (seen,) = exposures.values()
    assert seen.request_id == "r1"
    assert [(item.item_id, item.rank) for item in seen.items] == [("i1", 1), ("i2", 2)]
    assert seen.context == {"surface": "home"}
    assert all(o.user_id == "u1" for body in arrived for o in body.outcomes)


def test_the_snippet_is_small_and_loads_nothing() -> None:
    assert len(SNIPPET.encode()) < 3 * 1024
    assert "http" not in SNIPPET
    assert json.dumps(SNIPPET).isascii()
