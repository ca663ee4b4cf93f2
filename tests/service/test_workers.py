"""Several workers under load: changes, determinism, a graceful stop, and an admin port of its own."""

import http.client
import json
import os
import signal
import subprocess
import threading
import time
from contextlib import suppress

import psutil
import pytest
from tests.service.conftest import write_tenant
from tests.service.processes import JSON_HEADERS, RECSYS, Server, serving

from recsys.contracts.errors import UsageError
from recsys.control.plane import ControlPlane
from recsys.service.loading import Sources
from recsys.service.settings import ServeSettings

BODY = {"surface": "home", "segment": "default", "k": 10, "user": {"user_id": "u"}}
BLOCK = {"rule_id": "b", "action": "BLOCK", "target_type": "ITEM"}
RULES = "/v1/admin/tenants/demo/rules"
EFFECTIVE_S = 1.0


class Load:
    """Threads that ask all the time, over connections that stay open and new ones, and keep what they got."""

    def __init__(self, server: Server, n_threads: int) -> None:
        self._server = server
        self._stop = threading.Event()
        self.answers: list[tuple[float, int, dict]] = []
        """When a request was sent (monotonic seconds), its status and its body."""
        self.errors: list[Exception] = []
        self._threads = [threading.Thread(target=self._run) for _ in range(n_threads)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            connection = self._server.connect()
            try:
                for _ in range(20):
                    if self._stop.is_set():
                        break
                    sent = time.monotonic()
                    connection.request("POST", "/v1/recommend", json.dumps(BODY), JSON_HEADERS)
                    answer = connection.getresponse()
                    self.answers.append((sent, answer.status, json.loads(answer.read())))
                    time.sleep(0.002)
            except (OSError, http.client.HTTPException) as error:
                self.errors.append(error)
                return
            finally:
                connection.close()


@pytest.mark.slow
def test_a_rollback_is_served_by_every_worker_within_a_second_and_fails_no_request(tmp_path):
    write_tenant(tmp_path)
    with serving(tmp_path, "--dev", "--workers", "2") as server:
        blocked = {}
        for item in ("i00", "i01"):
            status, made = server.ask("PUT", RULES, [BLOCK | {"target_key": item}])
            assert status == 200
            blocked[made["version"]] = item
        first, second = blocked
        changes = []
        with Load(server, 3) as load:
            for number in range(6):
                time.sleep(0.4)
                to = (first, second)[number % 2]
                status, made = server.ask("POST", f"{RULES}/rollback", {"to": to})
                assert (status, made["version"]) == (200, to)
                changes.append((time.monotonic(), to))
                time.sleep(EFFECTIVE_S + 0.2)
        assert not load.errors
        assert {status for _, status, _ in load.answers} == {200}
        # Both versions were asked for all the time, however slow the host: several times for each change.
        assert len(load.answers) > 5 * len(changes)
        for sent, _, body in load.answers:
            version, items = body["meta"]["rules_version"], [item["item_id"] for item in body["items"]]
            if version in blocked:
                assert blocked[version] not in items
                assert {item for item in blocked.values() if item != blocked[version]} <= set(items)
            done = [to for at, to in changes if sent > at + EFFECTIVE_S]
            pending = any(at - 0.5 < sent <= at + EFFECTIVE_S for at, _ in changes)
            if done and not pending:
                assert version == done[-1]


@pytest.mark.slow
def test_every_worker_gives_the_same_bytes_and_so_does_the_next_start(tmp_path):
    write_tenant(
        tmp_path, rules=[BLOCK | {"target_key": "i03"}], config="[config.defaults]\nmmr_lambda = 0.5"
    )
    body = BODY | {"anchors": {"item_ids": ["i00", "i01"]}, "context": {"now": "2026-01-31T12:00:00Z"}}
    bodies = set()
    for _ in range(2):
        with serving(tmp_path, "--dev", "--workers", "2") as server:
            for _ in range(12):
                connection = server.connect()
                connection.request(
                    "POST", "/v1/recommend", json.dumps(body), JSON_HEADERS | {"x-request-id": "same"}
                )
                bodies.add(connection.getresponse().read())
                connection.close()
    assert len(bodies) == 1


@pytest.mark.slow
def test_a_stop_turns_readiness_off_drains_and_loses_nothing(tmp_path):
    write_tenant(tmp_path)
    with serving(tmp_path, "--dev", "--workers", "2", "--drain", "3") as server, Load(server, 3) as load:
        time.sleep(0.5)
        server.process.send_signal(signal.SIGTERM)
        # Workers see the signal one after the other: a drain that ends first refuses the connection.
        while (ready := server.ask("GET", "/readyz"))[0] == 200:
            time.sleep(0.02)
        assert (ready[0], ready[1]["status"]) == (503, "unavailable")
        assert server.ask("POST", "/v1/recommend", BODY)[0] == 200
        assert server.process.wait(60) == 0
    assert {status for _, status, _ in load.answers} == {200}
    parts = (tmp_path / "logs" / "exposures").glob("*.jsonl")
    logged = {json.loads(line)["request_id"] for part in parts for line in part.read_text().splitlines()}
    assert {body["meta"]["request_id"] for _, _, body in load.answers} <= logged


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_whole_group_drains_quietly(tmp_path, number):
    write_tenant(tmp_path)
    options = ("--dev", "--workers", "2", "--admin-port", "0", "--drain", "1")
    arguments = [*RECSYS, "serve", "--port", "0", "--data-dir", str(tmp_path), *options]
    with (
        (tmp_path / "said.txt").open("w") as said,
        subprocess.Popen(
            arguments, stdout=subprocess.PIPE, stderr=said, text=True, start_new_session=True
        ) as process,
    ):
        assert process.stdout is not None
        server = Server(process, [process.stdout.readline() for _ in range(4)])
        begun, body = server.connect(), json.dumps(BODY).encode()
        begun.putrequest("POST", "/v1/recommend")
        for name, value in (JSON_HEADERS | {"content-length": str(len(body))}).items():
            begun.putheader(name, value)
        begun.endheaders(body[:10])
        time.sleep(0.3)
        os.killpg(process.pid, number)
        time.sleep(0.4)
        assert server.ask("POST", "/v1/recommend", BODY)[0] == 200
        begun.send(body[10:])
        assert begun.getresponse().status == 200
        begun.close()
        assert process.wait(60) == 0
    assert (tmp_path / "said.txt").read_text() == ""


@pytest.mark.slow
def test_workers_do_not_outlive_a_parent_that_was_killed(tmp_path):
    write_tenant(tmp_path)
    with serving(tmp_path, "--dev", "--workers", "2") as server:
        workers = psutil.Process(server.process.pid).children(recursive=True)
        server.process.kill()
        assert psutil.wait_procs(workers, timeout=60)[1] == []


@pytest.mark.slow
def test_pinned_workers_have_a_core_each_and_one_that_died_leaves_it_to_the_next(tmp_path):
    write_tenant(tmp_path)

    def pinned() -> dict[int, int]:
        """Workers by core."""
        found = {}
        for worker in psutil.Process(server.process.pid).children():
            with suppress(psutil.NoSuchProcess):
                if len(cores := worker.cpu_affinity()) == 1:
                    found[cores[0]] = worker.pid
        return found

    n_workers = min(2, len(os.sched_getaffinity(0)))
    with serving(tmp_path, "--dev", "--workers", str(n_workers), "--pin-workers") as server:
        deadline = time.monotonic() + 30
        while len(before := pinned()) < n_workers:  # one that answers is enough for the announcement
            assert time.monotonic() < deadline
            time.sleep(0.1)
        core, worker = next(iter(before.items()))
        os.kill(worker, signal.SIGKILL)
        deadline = time.monotonic() + 30
        while pinned().get(core) in (None, worker):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert server.ask("POST", "/v1/recommend", BODY)[0] == 200


def test_more_pinned_workers_than_cores_are_refused(tmp_path):
    settings = ServeSettings(sources=Sources(tmp_path), workers=257, pins_workers=True)
    with pytest.raises(UsageError, match="--pin-workers: 257 workers need as many cores"):
        settings.check()


@pytest.mark.slow
def test_keys_roles_and_a_port_for_admins(tmp_path):
    write_tenant(tmp_path)
    plane = ControlPlane.open(tmp_path / "control")
    key, text = plane.issue_key("demo", ("operator",), actor="test")
    headers = {"authorization": f"Bearer {text}"}
    with serving(tmp_path, "--admin-port", "0", "--workers", "2", n_lines=2) as server:
        public, admin = server.urls
        assert server.ask("POST", "/v1/recommend", BODY)[1]["code"] == "RECSYS_AUTH_REQUIRED"
        assert server.ask("POST", "/v1/recommend", BODY, headers)[0] == 200
        assert server.ask("GET", RULES, None, headers, public)[1]["code"] == "RECSYS_NOT_FOUND"
        assert server.ask("GET", RULES, None, headers, admin)[1]["code"] == "RECSYS_RULES_NOT_FOUND"
        assert server.ask("POST", "/v1/recommend", BODY, headers, admin)[0] == 404
        assert server.ask("PUT", RULES, [], headers, admin)[0] == 200
        plane.revoke_key(key.key_id, actor="test")
        revoked_at = time.monotonic()
        while server.ask("POST", "/v1/recommend", BODY, headers)[0] == 200:
            assert time.monotonic() < revoked_at + EFFECTIVE_S
        time.sleep(max(0.0, revoked_at + EFFECTIVE_S - time.monotonic()))
        for _ in range(10):
            assert server.ask("POST", "/v1/recommend", BODY, headers)[0] == 401
    plane.close()


@pytest.mark.slow
def test_a_store_that_is_truncated_under_a_running_service_stops_changes_and_not_serving(tmp_path):
    write_tenant(tmp_path)
    with serving(tmp_path, "--dev", "--workers", "2") as server:
        body = {"surface": "home", "user": {"user_id": "u"}}
        assert server.ask("POST", "/v1/recommend", body)[0] == 200
        os.truncate(tmp_path / "control" / "data.mdb", 8192)
        until = time.monotonic() + 60
        while True:
            status, ready = server.ask("GET", "/readyz")
            (store,) = (one for one in ready["components"] if one["name"] == "control_store")
            if not store["ok"]:
                break
            assert time.monotonic() < until
            time.sleep(0.05)
        assert (status, ready["status"]) == (200, "degraded")
        assert "truncated or replaced while it was in use" in store["detail"]
        assert server.ask("PUT", "/v1/admin/tenants/demo/rules", [])[0] == 500
        for _ in range(10):
            assert server.ask("POST", "/v1/recommend", body)[0] == 200
    assert server.process.returncode == 0
