"""The real server as a process: it announces requests that work, and stops when told."""

import http.client
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from recsys.contracts.errors import UsageError
from recsys.observability.metrics import FLUSH_AFTER_S
from recsys.service.examples import example_requests
from recsys.service.metrics_folder import metrics_folder
from recsys.service.server import ServeError, reserve_port
from recsys.service.settings import require_loopback
from recsys.service.worker import forget_dead_workers

RECSYS = [sys.executable, "-c", "from recsys.cli.main import main; main()"]


def _wait_until_ready(url: str, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=1) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"not ready: {process.poll()}")


def _post(line: str) -> dict:
    words = shlex.split(line)
    request = urllib.request.Request(words[2], words[-1].encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())


def _counted(url: str) -> float:
    with urllib.request.urlopen(f"{url}/metrics", timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("recsys_requests_total"))


@pytest.mark.usefixtures("client")
def test_serve_answers_its_own_examples_and_stops_on_sigterm(tmp_path):
    arguments = [*RECSYS, "serve", "--dev", "--port", "0", "--workers", "2", "--data-dir", str(tmp_path)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            head = process.stdout.readline()
            examples = [process.stdout.readline(), process.stdout.readline()]
            url = head.split(" at ")[1].split()[0]
            _wait_until_ready(url, process)
            for _ in range(10):
                for example in examples:
                    assert len(_post(example)["items"]) == 5
            # The caller is told, however much more than the limit it sends before it listens.
            connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
            connection.request(
                "POST", "/v1/recommend", b" " * 4_000_000, {"content-type": "application/json"}
            )
            assert connection.getresponse().status == 413
            connection.close()
            # One worker answers for both; each writes down now and then what it counted.
            deadline = time.monotonic() + 60
            while (counted := _counted(url)) < 20:
                assert time.monotonic() < deadline
                time.sleep(FLUSH_AFTER_S / 2)
            assert counted == 20
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
    parts = (tmp_path / "logs" / "exposures").glob("*.jsonl")
    assert sum(len(part.read_text().splitlines()) for part in parts) == 20


def test_examples_can_be_pasted_whatever_the_tenant_is_called(client):
    name = "o'hara; echo $(id)"
    state = SimpleNamespace(tenants={name: replace(client.state.tenants["demo"], name=name)})
    for line in example_requests(state, "http://x"):
        assert f"x-org-id: {name}" in shlex.split(line)


@pytest.mark.usefixtures("client")
def test_a_killed_worker_is_replaced_and_the_server_lives(tmp_path):
    arguments = [*RECSYS, "serve", "--dev", "--port", "0", "--data-dir", str(tmp_path)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(arguments, text=True, **pipes) as process:
        try:
            assert process.stdout is not None
            head, example = process.stdout.readline(), process.stdout.readline()
            url = head.split(" at ")[1].split()[0]
            _wait_until_ready(url, process)
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            for child in children:
                os.kill(int(child), signal.SIGKILL)
            _wait_until_ready(url, process)
            assert len(_post(example)["items"]) == 5
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)


@pytest.mark.slow
@pytest.mark.parametrize("mode", [[], ["--dev"]], ids=["production", "development"])
def test_serve_without_a_tenant_warns_in_one_line_and_serves(mode, tmp_path):
    arguments = [*RECSYS, "serve", *mode, "--port", "0", "--data-dir", str(tmp_path)]
    arguments += [] if mode else ["--drain", "0"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(arguments, text=True, **pipes) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("serving ")
        with urllib.request.urlopen(f"{line.split()[3]}/livez", timeout=30) as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=30)[1].splitlines()
    assert [line for line in said if "no tenant yet: recsys tenant create" in line] == said[:1]


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.0.1", "example.com", "::"])
def test_development_refuses_to_bind_beyond_loopback(host):
    with pytest.raises(UsageError, match="loopback"):
        require_loopback(host)


def test_two_services_on_one_data_folder_count_apart(tmp_path):
    with metrics_folder(tmp_path) as first:
        (first / "counter_1.db").write_bytes(b"1")
        with metrics_folder(tmp_path) as second:
            assert second != first
            assert (first / "counter_1.db").exists()
        assert not second.exists()
        assert first.exists()
    killed = tmp_path / "service-killed"
    killed.mkdir()
    (killed / "counter_2.db").write_bytes(b"2")
    with metrics_folder(tmp_path) as third:
        assert [one for one in tmp_path.iterdir() if one.is_dir()] == [third]


def test_gauges_of_dead_workers_are_forgotten_and_their_counts_kept(tmp_path):
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        pass
    names = {f"{kind}_{pid}.db" for kind in ("counter", "gauge_livemin") for pid in (dead.pid, os.getpid())}
    for name in names:
        (tmp_path / name).touch()
    forget_dead_workers(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == names - {f"gauge_livemin_{dead.pid}.db"}


def test_a_taken_port_is_named():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ServeError, match=str(port)):
            reserve_port("127.0.0.1", port)
