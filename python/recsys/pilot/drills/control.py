"""Drills on changes and load: two people roll back at once, more requests than the service takes on."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor

from recsys.pilot.asking import Answer, ask
from recsys.pilot.drills.scratch import SURFACE, TENANT
from recsys.pilot.drills.stage import DrillError, Stage, list_of
from recsys.pilot.service_process import ServiceProcess

N_THREADS = 24
ADMIN = f"/v1/admin/tenants/{TENANT}"


def concurrent_rollback(stage: Stage) -> None:
    """Two people roll the rules back from the same version at once: one does, the other is told."""
    stage.scratch.publish()
    service = stage.serve("--workers", "2")
    first = list_of(service)
    for blocked in (first[0], first[1], first[2]):
        rule = {"rule_id": "one", "action": "BLOCK", "target_type": "ITEM", "target_key": blocked}
        answer = ask(f"{service.url}{ADMIN}/rules", [rule], method="PUT")
        if answer.status != 200:
            raise DrillError(f"rules were answered {answer.status}: {answer.body.decode(errors='replace')}")
    tag = service.get(f"{ADMIN}/rules").headers["etag"]
    answers: list[Answer] = []

    def race() -> None:
        with ThreadPoolExecutor(2) as pool:
            answers.extend(pool.map(lambda _: _roll_back(service, tag), range(2)))

    stage.inject("two rollbacks expect the same current version", race)
    stage.detect(
        "one is answered 200, the other 409", lambda: sorted(a.status for a in answers) == [200, 409]
    )
    stage.recover(
        lambda: stage.command("audit", "verify", "--data-dir", str(stage.data_dir)),
        lambda: all(first[1] not in list_of(service, f"u-{number}") for number in range(10)),
    )


def overload(stage: Stage) -> None:
    """Send more at once than the service takes on; it refuses with Retry-After, and answers afterwards."""
    stage.scratch.publish()
    service = stage.serve("--max-pending", "1")
    stop = threading.Event()
    refused: list[Answer] = []

    def flood() -> None:
        while not stop.is_set():
            answer = _ask_list(service)
            if answer.status == 503:
                refused.append(answer)

    threads = [threading.Thread(target=flood) for _ in range(N_THREADS)]

    def end_flood() -> None:
        stop.set()
        for thread in threads:
            thread.join()

    try:
        stage.inject(f"{N_THREADS} callers at once, of whom one is taken on", lambda: _start(threads))
        stage.detect("recsys_refused_total grows", lambda: service.metric("recsys_refused_total") > 0)
        stage.recover(
            end_flood, lambda: _ask_list(service).status == 200, "add workers or replicas; callers wait"
        )
    finally:
        end_flood()
    if not refused or any("retry-after" not in answer.headers for answer in refused):
        raise DrillError("a refusal did not say when to come back")


def _start(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.start()


def _ask_list(service: ServiceProcess) -> Answer:
    body = {"surface": SURFACE, "segment": "default", "k": 10, "user": {"user_id": "u"}}
    return service.post("/v1/recommend", body, x_org_id=TENANT)


def _roll_back(service: ServiceProcess, tag: str) -> Answer:
    return ask(f"{service.url}{ADMIN}/rules/rollback", json.loads("{}"), headers={"if-match": tag})
