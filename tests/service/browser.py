"""A headless Chromium for tests, driven over a pipe by the DevTools protocol; no driver, no socket."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

KEYS = {"Tab": 9, "Enter": 13, "Escape": 27}


class Browser:
    """One page. ``requested`` are the URLs that it asked for, ``faults`` what its console complained of."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands, self._answers = commands, answers
        self._count, self._unread = 0, b""
        self._session: dict[str, str] = {}
        self.requested: list[str] = []
        self.faults: list[str] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        attached = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = {"sessionId": attached["sessionId"]}
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: object) -> dict:
        """Send a command and return its result; events that come before it are noted."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters} | self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._count:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]
            self._note(answer)

    def run(self, script: str) -> object:
        """Return what an expression of the page is; promises are waited for."""
        result = self.send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def wait(self, script: str, seconds: float = 15.0) -> object:
        """Return the value of an expression as soon as it is true."""
        until = time.monotonic() + seconds
        while not (value := self.run(script)):
            assert time.monotonic() < until, (script, self.run("document.body.innerText"), self.faults)
            time.sleep(0.05)
        return value

    def visit(self, url: str, heading: str) -> None:
        """Open a page and wait for its heading."""
        self.send("Page.navigate", url=url)
        self.wait(f"document.querySelector('h1')?.textContent === {json.dumps(heading)}")

    def press(self, key: str) -> None:
        """Press a named key."""
        code = {"key": key, "code": key, "windowsVirtualKeyCode": KEYS[key]}
        text = {"text": "\r"} if key == "Enter" else {}
        self.send("Input.dispatchKeyEvent", type="keyDown", **code, **text)
        self.send("Input.dispatchKeyEvent", type="keyUp", **code)

    def type(self, text: str) -> None:
        """Type over what the field with the focus holds."""
        self.run("document.activeElement.select?.()")
        self.send("Input.insertText", text=text)

    def tab_to(self, label: str, limit: int = 60) -> None:
        """Press Tab until the element of this name has the focus."""
        name = (
            "(e => e.getAttribute('aria-label') ?? e.labels?.[0]?.innerText ?? e.innerText)"
            "(document.activeElement)"
        )
        for _ in range(limit):
            self.press("Tab")
            if self.run(name) == label:
                return
        raise AssertionError(f"{label!r} is not reached by the keyboard")

    def click(self, label: str) -> None:
        """Click the button or link of this name."""
        quoted = json.dumps(label)
        self.wait(
            "(e => (e && !e.disabled ? (e.click(), true) : false))"
            "([...document.querySelectorAll('button, a')]"
            f".find(e => (e.getAttribute('aria-label') ?? e.textContent) === {quoted}))"
        )

    def screenshot(self, path: Path) -> None:
        """Write what the window shows as PNG."""
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot")["data"]))

    def _read(self) -> dict:
        while b"\0" not in self._unread:
            read = os.read(self._answers, 1 << 20)
            assert read, "the browser has ended"
            self._unread += read
        message, _, self._unread = self._unread.partition(b"\0")
        return json.loads(message)

    def _note(self, event: dict) -> None:
        parameters = event.get("params", {})
        match event.get("method"):
            case "Network.requestWillBeSent":
                self.requested.append(parameters["request"]["url"])
            case "Runtime.exceptionThrown":
                self.faults.append(json.dumps(parameters["exceptionDetails"]))
            case "Log.entryAdded":
                self.faults.append(parameters["entry"]["text"])


@contextmanager
def browsing(profile: Path, size: str = "1200,900") -> Iterator[Browser]:
    """Start a browser with an empty profile; it ends with the block."""
    program = shutil.which("chromium")
    assert program is not None, "the tests of the console need the package chromium"
    to_browser, commands = os.pipe()
    answers, from_browser = os.pipe()
    command = [
        *("bash", "-c", f'exec "$@" 3<&{to_browser} 4>&{from_browser}', "bash", program),
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
        *(
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-quic",
        ),
        *(f"--user-data-dir={profile}", f"--window-size={size}", "--remote-debugging-pipe"),
    ]
    with subprocess.Popen(
        command, pass_fds=(to_browser, from_browser), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        os.close(to_browser)
        os.close(from_browser)
        try:
            yield Browser(commands, answers)
        finally:
            os.close(commands)
            os.close(answers)
            process.terminate()
            process.wait(20)
