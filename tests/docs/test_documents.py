"""What the documents show is what happens: each ``$`` line of a ``console`` block prints what stands there.

``recsys`` and ``curl`` lines run for real, against a freshly prepared demo; of ``make`` lines only the target
is looked up, for they run this test. With ``UPDATE_DOCS=1`` in the environment the pages are rewritten.
"""

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from recsys.demo.prepare import prepare_demo

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
UPDATE = os.environ.get("UPDATE_DOCS") == "1"
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
DOCUMENTED_URL = "http://127.0.0.1:8000"
VOLATILE = {"request_id", "timings_ms", "ts", "latency_ms", "time"}
DIGEST = re.compile(r"\b[0-9a-f]{64}\b|\b(?=[0-9a-f]*[a-f])[0-9a-f]{12}\b")


@dataclass
class Demo:
    """A prepared data folder and, once asked for, a service on it."""

    folder: Path
    server: subprocess.Popen[str] | None = None
    url: str = ""

    def serve(self) -> str:
        """Return the base URL of the service, starting it first if need be."""
        if self.server is None:
            command = [recsys(), "serve", "--dev", "--port", "0", "--data-dir", "data"]
            self.server = subprocess.Popen(command, cwd=self.folder, stdout=subprocess.PIPE, text=True)
            assert self.server.stdout is not None
            found = re.search(r"http://127\.0\.0\.1:\d+", self.server.stdout.readline())
            assert found is not None
            self.url = found[0]
            subprocess.run(
                [
                    "curl",
                    "-sS",
                    "--retry",
                    "60",
                    "--retry-delay",
                    "1",
                    "--retry-all-errors",
                    f"{self.url}/readyz",
                ],
                capture_output=True,
                check=True,
            )
        return self.url


def recsys() -> str:
    return str(Path(sys.executable).with_name("recsys"))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepare the demo, once for all processes of a test run."""
    root = tmp_path_factory.getbasetemp()
    shared = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root
    folder = shared / "demo" / "data"
    with (shared / "demo.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        prepare_demo(folder)
    return folder


@pytest.fixture
def demo(prepared: Path, tmp_path: Path) -> Iterator[Demo]:
    """Give each page a demo of its own, so that no page sees what another one did."""
    shutil.copytree(prepared, tmp_path / "data", copy_function=_link_or_copy)
    made = Demo(tmp_path)
    yield made
    if made.server is not None:
        made.server.terminate()
        made.server.communicate(timeout=20)


def _link_or_copy(source: str, target: str) -> None:
    """Link what is never written in place; copy the store."""
    if "/control/" in source:
        shutil.copy2(source, target)
    else:
        os.link(source, target)


def run(command: str, demo: Demo) -> str:
    """Return what one documented command prints; a failing one fails the test."""
    if DOCUMENTED_URL in command:
        assert shutil.which("curl"), "curl is needed to run what the documents show"
        command = command.replace(DOCUMENTED_URL, demo.serve())
    if command.startswith("recsys "):
        command = recsys() + command.removeprefix("recsys")
    environment = os.environ | {"COLUMNS": "110", "NO_COLOR": "1"}
    done = subprocess.run(
        ["bash", "-c", command], cwd=demo.folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    if command.startswith("curl "):
        return json.dumps(json.loads(done.stdout), indent=2)
    return "\n".join(line.rstrip() for line in done.stdout.splitlines()).strip("\n")


def steady(text: str) -> object:
    """Return output without what differs from run to run."""
    text = DIGEST.sub("digest", text)
    if not text.startswith("{"):
        return text

    def drop(value: object) -> object:
        if isinstance(value, dict):
            return {key: drop(inner) for key, inner in value.items() if key not in VOLATILE}
        return [drop(inner) for inner in value] if isinstance(value, list) else value

    return drop(json.loads(text))


def make_target_exists(target: str) -> bool:
    return re.search(rf"^{re.escape(target)}:", (ROOT / "Makefile").read_text(), re.MULTILINE) is not None


@pytest.mark.slow
@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_runs_and_prints_what_the_page_shows(
    document: Path, request: pytest.FixtureRequest
) -> None:
    def check(block: re.Match[str]) -> str:
        written = []
        for shown in re.split(r"^\$ ", block[1], flags=re.MULTILINE)[1:]:
            command, _, output = shown.partition("\n")
            expected = output.strip("\n")
            if command.startswith("make "):
                assert make_target_exists(command.split()[1]), command
                printed = expected
            else:
                printed = run(command, request.getfixturevalue("demo"))
                assert UPDATE or steady(printed) == steady(expected), f"{document.name}: {command}"
            written.append(f"$ {command}\n" + (f"{printed}\n" if printed else ""))
        return "```console\n" + "".join(written) + "```"

    page = document.read_text(encoding="utf-8")
    updated = BLOCK.sub(check, page)
    if UPDATE:
        document.write_text(updated, encoding="utf-8")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text(encoding="utf-8")):
        assert (document.parent / target).exists(), f"{document.name}: {target}"
