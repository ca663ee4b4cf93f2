"""Phase 3 of the pilot run: keys and backup, an experiment with its decision, a fault, rollbacks, drills."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from recsys.contracts.decisions import EXIT_CODES
from recsys.demo.retail import SURFACE, TENANT
from recsys.pilot.baskets import baskets_of
from recsys.pilot.capacity import measure
from recsys.pilot.journal import StepRecord
from recsys.pilot.replay_baskets import replay_baskets
from recsys.pilot.run_baseline import catalog_ids, note_replay
from recsys.pilot.run_relevance import BLEND
from recsys.pilot.world import EXPERIMENT_WEEKS, PilotError, World

EXPERIMENT = "blend-against-popularity"
CONTROL, CANDIDATE = "popularity", "blend"
PLAN = f"""control_variant = "{CONTROL}"
candidate_variant = "{CANDIDATE}"
experiment_id = "{EXPERIMENT}"
minimum_join_rate = 0.95

[primary_metric]
name = "conversion_rate"
minimum_effect = 0.0

[guardrails]
error_rate = 0.005
empty_list_rate = 0.005
"""
DRILLED = ("empty-lists-rule", "corrupt-artifact", "object-store-down", "exposure-disk-full")


class _Decided(msgspec.Struct):
    decision: str
    reason: str


def secure(world: World, record: StepRecord) -> None:
    """A key for each role, and a backup of the control store."""
    for role in ("service", "viewer", "operator", "admin"):
        key = (
            "key",
            "issue",
            *world.tenant(),
            "--role",
            role,
            "--name",
            f"pilot-{role}",
            "--expires-days",
            "90",
        )
        world.command(record, *key)
    backup = world.evidence / "backup"
    world.command(record, "backup", str(backup), "--data-dir", str(world.data_dir))
    record.files.append((backup / "backup.json").relative_to(world.folder).as_posix())


def run_experiment(world: World, record: StepRecord) -> None:
    """Half of the households get popularity, half the blend; three weeks of baskets are replayed."""
    arms = [{"name": CONTROL, "mode": "popularity"}, {"name": CANDIDATE, **BLEND_ARM}]
    document = {
        "id": EXPERIMENT,
        "surface": SURFACE,
        "arms": arms,
        "primary_metric": {"name": "conversion_rate"},
        "guardrails": [
            {"metric": "error_rate", "margin": 0.005},
            {"metric": "empty_list_rate", "margin": 0.005},
        ],
        "rollback": {"to": "current"},
    }
    path = world.write("experiment.json", document)
    world.command(record, "experiment", "create", str(path), *world.tenant())
    world.command(record, "experiment", "start", EXPERIMENT, *world.tenant())
    world.wait_until(lambda: world.arm_of("anybody") is not None, "the experiment did not start")
    baskets = baskets_of(world.data, EXPERIMENT_WEEKS, catalog_ids(world), 2 * world.scale)
    with world.client() as client:
        result = replay_baskets(client, SURFACE, baskets)
    note_replay(record, result)
    record.measured["lists by arm"] = ", ".join(
        f"{arm} {count:,}" for arm, count in sorted(result.per_arm.items())
    )


def decide(world: World, record: StepRecord) -> None:
    """The gates read the logs in their order, and decide."""
    plan = world.evidence / "documents" / "plan.toml"
    plan.write_text(PLAN, encoding="utf-8")
    report = world.evidence / "experiment"
    world.command(
        record,
        *("eval", "experiment", *world.logs(), "--control", CONTROL, "--candidate", CANDIDATE),
        *("--experiment", EXPERIMENT, "--metric", "conversion_rate", "--out", str(report)),
    )
    out = world.evidence / "decision"
    printed = world.command(
        record,
        *(
            "eval",
            "decide",
            "--plan",
            str(plan),
            *world.logs(),
            "--registry",
            str(world.data_dir / "registry"),
        ),
        *("--tenant", TENANT, "--surface", SURFACE, "--out", str(out), "--json"),
        codes=tuple(EXIT_CODES.values()),
    )
    decided = msgspec.json.decode(printed, type=_Decided)
    (world.evidence / "decision.json").write_text(printed, encoding="utf-8")
    record.files += [
        path.relative_to(world.folder).as_posix()
        for path in (report / "report.html", out / "report.html", world.evidence / "decision.json")
        if path.exists()
    ]
    record.measured |= {"decision": decided.decision, "because": decided.reason}
    world.command(record, "experiment", "stop", EXPERIMENT, *world.tenant())
    if decided.decision == "fail":
        raise PilotError(f"the gates say fail: {decided.reason}")


def break_and_roll_back(world: World, record: StepRecord) -> None:
    """A rule hides everything; it is seen in the metrics, and rolled back by the runbook."""
    every = [
        {"rule_id": f"hide-{kind}", "action": "BLOCK", "target_type": "TAG", "target_key": kind}
        for kind in ("national", "private")
    ]
    path = world.write("broken-rules.json", every)
    began = time.monotonic()
    world.command(record, "rules", "put", str(path), *world.tenant(), "--comment", "a mistake")
    world.wait_until(lambda: world.list_length() == 0, "the broken rule had no effect")
    seen = time.monotonic()
    world.command(record, "rules", "rollback", *world.tenant(), "--comment", "empty lists")
    world.wait_until(lambda: world.list_length() == 20, "lists did not come back")
    empty = world.service.metric("recsys_lists_total", kind="empty", tenant=TENANT)
    record.measured |= {
        "seen after": f"{seen - began:.2f} s",
        "rolled back after": f"{time.monotonic() - seen:.2f} s",
        "empty lists served meanwhile": f"{empty:.0f}",
    }


def roll_back_everything(world: World, record: StepRecord) -> None:
    """Config and release go back one version, and forward again; each is timed until a list names it."""
    config = world.version_of("config_version")
    record.measured["config rolled back in"] = _timed(
        lambda: world.command(record, "config", "rollback", *world.tenant(), "--comment", "rehearsal"),
        lambda: world.version_of("config_version") != config,
        world,
    )
    world.command(record, "config", "rollback", *world.tenant(), "--to", config, "--comment", "and forward")
    release = world.version_of("manifest_version")
    record.measured["release rolled back in"] = _timed(
        lambda: world.command(record, "manifest", "rollback", *world.surface()),
        lambda: world.version_of("manifest_version") != release,
        world,
    )
    world.command(record, "manifest", "rollback", *world.surface(), "--to", release)
    world.wait_for_version("manifest_version", release)


def run_drills(world: World, record: StepRecord) -> None:
    """Four faults on scratch copies, each noticed and mended by its runbook."""
    out = world.evidence / "drills"
    printed = world.command(record, "drill", *DRILLED, "--out", str(out), "--json")
    for one in msgspec.json.decode(printed, type=list[_Drilled]):
        record.measured[one.drill] = f"seen in {one.detected_s:.2f} s, mended in {one.recovered_s:.2f} s"
    record.files += sorted(path.relative_to(world.folder).as_posix() for path in out.glob("*.json"))


def measure_capacity(world: World, record: StepRecord) -> None:
    """How many requests a second one worker answers, with the load from this machine."""

    capacity = measure(world.service.url, TENANT, SURFACE, seconds=5.0)
    path = world.evidence / "capacity.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(capacity)) + b"\n")
    record.files.append(path.relative_to(world.folder).as_posix())
    record.measured |= {
        "requests a second": f"{capacity.requests_per_s:,.0f}",
        "p95": f"{capacity.p95_ms:.1f} ms",
    }


def show_status(world: World, record: StepRecord) -> None:
    """Every phase finds its evidence."""
    page: Path = world.evidence / "status.html"
    world.command(
        record,
        *("pilot", "status", *world.surface(), "--evidence", str(world.evidence), "--html", str(page)),
    )
    record.files.append(page.relative_to(world.folder).as_posix())


class _Drilled(msgspec.Struct):
    drill: str
    detected_s: float
    recovered_s: float


BLEND_ARM = {"mode": BLEND["mode"], "weights": BLEND["weights"]}


def _timed(action: Callable[[], object], condition: Callable[[], bool], world: World) -> str:
    began = time.monotonic()
    action()
    world.wait_until(condition, "the rollback had no effect")
    return f"{time.monotonic() - began:.2f} s, the command included"
