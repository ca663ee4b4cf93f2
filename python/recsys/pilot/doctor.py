"""One look at a running or a dead service: what is wrong, the evidence, the runbook, the next command."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from msgspec import Struct

from recsys.artifacts.registry import Registry
from recsys.contracts.errors import RecsysError
from recsys.control.plane import ControlPlane
from recsys.pilot.asking import Answer, ask
from recsys.pilot.facts import exposed_secrets, utc_now
from recsys.pilot.metrics_text import MetricsText

MIN_FREE = 0.05
"""Share of the disk that has to be free."""

MAX_EMPTY, MAX_ERRORS = 0.005, 0.001
RECENT = timedelta(hours=1)
MIN_REQUESTS = 100
"""Ratios of fewer requests say nothing."""


class Sight(Struct, frozen=True):
    """One thing that was looked at; ``runbook`` and ``next`` are empty when it is well."""

    what: str
    is_well: bool
    evidence: str
    runbook: str = ""
    next: str = ""


def examine_service(url: str) -> list[Sight]:
    """Look at what a service says of itself; one that does not answer is a single sight."""
    if ask(f"{url}/livez").status != 200:
        next_step = "look at its process and its log; start it: recsys serve"
        return [Sight("service", False, f"{url} does not answer", "not-ready", next_step)]
    return [*_components(ask(f"{url}/readyz")), *_counts(MetricsText(ask(f"{url}/metrics").body.decode()))]


def examine_data(plane: ControlPlane, registry: Registry, data_dir: Path) -> list[Sight]:
    """Look at store, registry and disk, whether a service runs or not."""
    return [*_store(plane, data_dir), *_releases(plane, registry), _disk(data_dir), _changes(plane)]


def _components(ready: Answer) -> Iterator[Sight]:
    document = ready.json()
    components = document.get("components", []) if isinstance(document, dict) else []
    runbooks = {
        "exposure_log": ("exposure-log", "make room: recsys logs ship, recsys logs retain"),
        "registry": ("object-store-down", "bring the registry back; do not clear cache/"),
        "control_store": ("not-ready", "recsys audit verify"),
        "tenants": ("not-ready", "recsys tenant create, then publish"),
        "stop": ("not-ready", "it was asked to stop"),
    }
    yield Sight(
        "readiness",
        ready.status == 200,
        f"/readyz answers {ready.status}",
        *(() if ready.status == 200 else ("not-ready", "see the parts below")),
    )
    for one in components:
        if one["ok"]:
            continue
        name = str(one["name"])
        runbook, step = runbooks.get(
            name, ("corrupt-artifact", "recsys manifest rollback, or rules, or config")
        )
        yield Sight(name, False, str(one["detail"]), runbook, step)


def _counts(metrics: MetricsText) -> Iterator[Sight]:
    lists = metrics.total("recsys_lists_total")
    empty = metrics.total("recsys_lists_total", kind="empty")
    yield _ratio("empty lists", empty, lists, MAX_EMPTY, "empty-lists", "recsys rules history --tenant T")
    requests = metrics.total("recsys_requests_total")
    failed = metrics.total("recsys_requests_total", outcome="server_error")
    yield _ratio(
        "failed requests", failed, requests, MAX_ERRORS, "errors", "read recsys_problems_total by code"
    )
    lost = metrics.total("recsys_exposure_write_failures_total")
    yield Sight(
        "exposures",
        lost == 0,
        f"{lost:,.0f} lost since the start",
        *_unless(lost == 0, "exposure-log", "df -h"),
    )
    refused = metrics.total("recsys_refused_total")
    evidence = f"{refused:,.0f} requests turned away since the start"
    yield Sight(
        "admission", refused == 0, evidence, *_unless(refused == 0, "overload", "add workers or replicas")
    )
    for labels, schedule in metrics.samples("recsys_manifest_schedule_seconds"):
        place = {"tenant": labels["tenant"], "surface": labels["surface"]}
        age = time.time() - metrics.total("recsys_manifest_updated_timestamp_seconds", **place)
        is_fresh = age <= 2 * schedule
        evidence = f"{age / 3600:.1f} h old, schedule {schedule / 3600:g} h"
        name = f"release {place['tenant']}/{place['surface']}"
        yield Sight(name, is_fresh, evidence, *_unless(is_fresh, "stale-artifact", "recsys pipeline run"))


def _store(plane: ControlPlane, data_dir: Path) -> Iterator[Sight]:
    try:
        report = plane.verify()
    except RecsysError as error:
        yield Sight("store", False, str(error), "not-ready", "recsys restore BACKUP")
    else:
        yield Sight("store", True, f"{report.audit_entries} changes, the chain of the audit trail holds")
    exposed = exposed_secrets(data_dir / "control")
    evidence = "open to others: " + ", ".join(exposed) if exposed else "for their owner alone"
    yield Sight(
        "secrets", not exposed, evidence, *_unless(not exposed, "not-ready", "chmod -R go-rwx control")
    )


def _releases(plane: ControlPlane, registry: Registry) -> Iterator[Sight]:
    try:
        surfaces = registry.surfaces()
    except RecsysError as error:
        yield Sight("registry", False, str(error), "object-store-down", "bring it back; do not clear cache/")
        return
    if not surfaces:
        step = "recsys demo prepare, recsys signals load or recsys pipeline run"
        yield Sight("registry", False, f"{registry.url}: nothing is published", "not-ready", step)
    known = {tenant.tenant_id for tenant in plane.tenants()}
    for tenant, surface in surfaces:
        name = f"pointer {tenant}/{surface}"
        if tenant not in known:
            yield Sight(name, False, "no such tenant", "not-ready", f"recsys tenant create {tenant}")
            continue
        try:
            manifest = registry.find(tenant, surface)
            registry.check_complete(manifest)
        except RecsysError as error:
            step = f"recsys manifest rollback --tenant {tenant} --surface {surface}"
            yield Sight(name, False, str(error), "corrupt-artifact", step)
        else:
            yield Sight(name, True, f"{manifest.version[:12]}, all artifacts are there")


def _disk(data_dir: Path) -> Sight:
    usage = shutil.disk_usage(data_dir)
    free = usage.free / usage.total
    evidence = f"{free:.0%} of the disk is free"
    return Sight(
        "disk", free >= MIN_FREE, evidence, *_unless(free >= MIN_FREE, "exposure-log", "recsys logs ship")
    )


def _changes(plane: ControlPlane) -> Sight:
    """Tell what changed lately: not a trouble, but the first suspect."""
    since = utc_now() - RECENT
    recent = [
        f"{entry.action} of {entry.tenant} at {entry.time:%H:%M} UTC by {entry.actor}"
        for tenant in plane.tenants()
        for entry in plane.audit_entries(tenant.tenant_id, limit=3)
        if entry.time >= since
    ]
    return Sight("changes", True, "; ".join(recent) or "none in the last hour")


def _ratio(what: str, part: float, whole: float, limit: float, runbook: str, step: str) -> Sight:
    ratio = part / whole if whole else 0.0
    is_well = whole < MIN_REQUESTS or ratio <= limit
    evidence = f"{part:,.0f} of {whole:,.0f} since the start"
    return Sight(what, is_well, evidence, *_unless(is_well, runbook, step))


def _unless(is_well: bool, runbook: str, step: str) -> tuple[str, str]:
    return ("", "") if is_well else (runbook, step)
