"""The drill on an experiment whose arms do not have the sizes that were declared."""

from __future__ import annotations

import json
from itertools import count

import msgspec

from recsys.pilot.drills.scratch import SURFACE, TENANT
from recsys.pilot.drills.stage import DrillError, Stage
from recsys.pilot.drills.visitors import visit
from recsys.pilot.service_process import ServiceProcess

N_USERS = 300
CONTROL, CANDIDATE = "control", "candidate"
FIRST, SECOND = "first-try", "second-try"


def broken_split(stage: Stage) -> None:
    """Let a client put every third user into one arm; the decision fails, and a new experiment is sound."""
    stage.scratch.publish()
    service = stage.serve()
    _begin(stage, FIRST)
    stage.wait("the experiment is not served", lambda: _is_served(service, FIRST))
    users = [f"user-{number}" for number in range(N_USERS)]
    kept = set(users[::3])

    def kept_arm(user: str) -> dict[str, str] | None:
        return {"id": FIRST, "variant": CONTROL} if user in kept else None

    stage.inject(
        "a client sends a variant of its own for every third user",
        lambda: visit(service, users, arm=kept_arm),
    )
    stage.detect(
        "recsys eval decide exits 3 (fail): users per arm do not fit the declared split",
        lambda: _split_status(stage, FIRST) == "fail",
    )

    def start_anew() -> None:
        stage.command("experiment", "stop", FIRST, *_where(stage))
        _begin(stage, SECOND)
        stage.wait("the new experiment is not served", lambda: _is_served(service, SECOND))

    numbers = count()

    def is_sound() -> bool:
        # Users keep coming, so a split that is uneven by chance evens out.
        visit(service, [f"later-{next(numbers)}" for _ in range(N_USERS)])
        return _split_status(stage, SECOND) == "pass"

    stage.recover(
        start_anew, is_sound, "mend the client: it leaves the variant to the service; start under a new id"
    )


def _where(stage: Stage) -> tuple[str, ...]:
    return ("--tenant", TENANT, "--data-dir", str(stage.data_dir))


def _begin(stage: Stage, name: str) -> None:
    path = stage.scratch.folder / f"{name}.json"
    experiment = {
        "id": name,
        "surface": SURFACE,
        "arms": [{"name": CONTROL}, {"name": CANDIDATE, "mode": "popularity"}],
        "primary_metric": {"name": "ctr"},
        "guardrails": [{"metric": "empty_list_rate", "margin": 0.01}],
        "rollback": {"to": "current"},
    }
    path.write_text(json.dumps(experiment))
    (stage.scratch.folder / f"{name}.toml").write_text(
        f'control_variant = "{CONTROL}"\ncandidate_variant = "{CANDIDATE}"\nexperiment_id = "{name}"\n'
        '[primary_metric]\nname = "ctr"\n'
    )
    stage.command("experiment", "create", str(path), *_where(stage))
    stage.command("experiment", "start", name, *_where(stage))


def _is_served(service: ServiceProcess, name: str) -> bool:
    body = {"surface": SURFACE, "user": {"user_id": "nobody"}}
    answer = service.post("/v1/recommend/validate", body, x_org_id=TENANT).json()
    arm = answer["meta"].get("experiment") if isinstance(answer, dict) else None
    return arm is not None and arm["id"] == name


def _split_status(stage: Stage, name: str) -> str:
    """Return how the gate on joins and sizes ends: ``pass``, ``hold`` or ``fail``."""
    logs = stage.data_dir / "logs"
    arguments = ["eval", "decide", "--plan", str(stage.scratch.folder / f"{name}.toml"), "--json"]
    for kind in ("exposures", "outcomes", "assignments"):
        arguments += [f"--{kind}", str(logs / kind)]
    printed = stage.command(*arguments, codes=(0, 2, 3))
    gates = {gate.name: gate for gate in msgspec.json.decode(printed, type=_Decided).gates}
    gate = gates["join_integrity"]
    if gate.status == "fail" and "declared split" not in gate.reason:
        raise DrillError(f"the decision fails for another reason: {gate.reason}")
    return gate.status


class _Gate(msgspec.Struct):
    name: str
    status: str
    reason: str


class _Decided(msgspec.Struct):
    gates: list[_Gate]
