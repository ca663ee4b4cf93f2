"""Take the pictures of the docs (``make pictures``): what a pilot run left, and the console on its data."""

from __future__ import annotations

import base64
import io
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.service.browser import Browser, browsing  # noqa: E402
from tests.service.processes import RECSYS, Server, serving  # noqa: E402

IMAGES = ROOT / "docs" / "images"
WIDTH = 1120
MAX_BYTES = 150_000
N_COLORS = 128
HOT_DOG_BUNS = "1098066"
PINNED = {
    "rule_id": "week",
    "action": "PIN",
    "target_type": "ITEM",
    "target_key": "951590",
    "surface": "home",
    "name": "Item of the week",
}


class Camera:
    """A browser whose window is as wide as a page of the docs."""

    def __init__(self, browser: Browser) -> None:
        self.browser = browser
        browser.send("Emulation.setScrollbarsHidden", hidden=True)

    def open(self, url: str) -> None:
        """Open a page, and wait until it is there."""
        self.resize(900)
        self.browser.send("Page.navigate", url=url)
        self.browser.wait("document.readyState === 'complete' && !!document.querySelector('h1')")

    def resize(self, height: int) -> None:
        size = {"width": WIDTH, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.browser.send("Emulation.setDeviceMetricsOverride", **size)

    def take(self, name: str, height: int, top: str = "body") -> None:
        """Write a picture of the page, of so many pixels from the element ``top`` on."""
        self.resize(height)
        self.browser.run(
            f"scrollBy(0, document.querySelector({json.dumps(top)}).getBoundingClientRect().top"
            f" - {0 if top == 'body' else 16})"
        )
        shot = base64.b64decode(self.browser.send("Page.captureScreenshot")["data"])
        picture = Image.open(io.BytesIO(shot)).convert("RGB").quantize(N_COLORS, dither=Image.Dither.NONE)
        path = IMAGES / f"{name}.png"
        picture.save(path, optimize=True)
        n_bytes = path.stat().st_size
        print(f"{path.relative_to(ROOT)}: {n_bytes:,} bytes")
        if n_bytes > MAX_BYTES:
            raise SystemExit(f"{path} is larger than {MAX_BYTES:,} bytes")


def take_reports(camera: Camera, pilot: Path, scratch: Path) -> None:
    """Show what a pilot leaves: its own page, the boards, the reports of its evaluations."""
    evidence, data = pilot / "evidence", pilot / "data"
    camera.open((pilot / "index.html").as_uri())
    camera.take("pilot-run", 720)
    of = ["--tenant", "demo", "--surface", "home"]
    command(
        "pilot",
        "status",
        *of,
        "--data-dir",
        "data",
        "--evidence",
        "evidence",
        "--html",
        "evidence/status.html",
        folder=pilot,
    )
    camera.open((evidence / "status.html").as_uri())
    camera.take("pilot-status", 760)
    logs = [f"--{kind}={data / 'logs' / kind}" for kind in ("exposures", "outcomes")]
    command("eval", "validate", *logs, "--out", str(scratch / "validation"))
    camera.open((scratch / "validation" / "report.html").as_uri())
    camera.take("report-validation", 700)
    for name in ("offline", "decision"):
        camera.open((evidence / name / "report.html").as_uri())
        camera.take(f"report-{name}", 900)


def take_readiness(camera: Camera, pilot: Path, data: Path, scratch: Path) -> None:
    """Show the board of a service that runs as in production."""
    board, of = scratch / "readiness.html", ["--tenant", "demo", "--surface", "home", "--data-dir", str(data)]
    with serving(data, "--drain", "0", n_lines=1) as server:
        asked = ["--evidence", "evidence", "--url", server.url, "--html", str(board)]
        command("pilot", "readiness", *of, *asked, folder=pilot)
    camera.open(board.as_uri())
    camera.take("readiness", 960)


def take_console(camera: Camera, server: Server) -> None:
    """Show the console at work on the pilot's tenant."""
    browser, rules = camera.browser, "/v1/admin/tenants/demo/rules"
    document = server.ask("GET", rules)[1]
    assert server.ask("PUT", f"{rules}?comment=Item+of+the+week", [*document, PINNED])[0] == 200
    ask = {"surface": "home", "user": {"user_id": "u"}}
    until = time.monotonic() + 10
    while server.ask("POST", "/v1/recommend", ask)[1]["items"][0]["item_id"] != PINNED["target_key"]:
        assert time.monotonic() < until, "the pin is not served"
        time.sleep(0.1)

    camera.open(f"{server.url}/console")
    browser.wait("!!document.querySelector('fieldset select')")
    browser.run(f"document.querySelector('[name=anchors]').value = {json.dumps(HOT_DOG_BUNS)}")
    browser.run(
        "(rules => rules.value = [...rules.options].find(e => e.text.includes('own brand')).value)"
        "(document.querySelectorAll('fieldset select')[1])"
    )
    browser.click("Rank")
    browser.wait("document.querySelectorAll('main table').length === 2")
    camera.take("console-preview", 820, "fieldset")

    browser.click("Config")
    browser.wait("document.querySelector('h1').textContent === 'Config'")
    browser.tab_to("MMR lambda")
    browser.type("3")
    browser.click("Save")
    browser.wait("document.activeElement.getAttribute('aria-invalid') === 'true'")
    camera.take("console-config", 820)

    camera.open(f"{server.url}/console#/health")
    browser.wait("document.querySelector('h1').textContent === 'Health'")
    camera.take("console-health", 820)

    camera.open(f"{server.url}/console#/history")
    browser.click("Compare version 2 with the current one")
    browser.wait("!!document.querySelector('.diff .added')")
    camera.take("console-history", 820)


def command(*arguments: str, folder: Path = ROOT) -> None:
    # A board with open rows, or a verdict other than sane, has an exit code of its own.
    done = subprocess.run([*RECSYS, *arguments], stdout=subprocess.DEVNULL, check=False, cwd=folder)
    if done.returncode not in (0, 1, 2):
        raise SystemExit(f"recsys {' '.join(arguments)} exited {done.returncode}")


def main() -> None:
    """Take every picture, of the pilot run in the folder that is named (``pilot-run``)."""
    pilot = Path(sys.argv[1] if len(sys.argv) > 1 else "pilot-run").absolute()
    if not (pilot / "evidence" / "status.html").is_file():
        raise SystemExit(f"{pilot} is no whole pilot run: make pilot")
    with tempfile.TemporaryDirectory() as folder, browsing(Path(folder) / "profile") as browser:
        camera, scratch = Camera(browser), Path(folder)
        take_reports(camera, pilot, scratch)
        data = scratch / "data"
        shutil.copytree(pilot / "data", data, ignore=shutil.ignore_patterns("retail", "pipeline"))
        take_readiness(camera, pilot, data, scratch)
        with serving(data, "--dev") as server:
            take_console(camera, server)


if __name__ == "__main__":
    main()
