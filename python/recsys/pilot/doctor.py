"""One look at a running or a dead service: what is wrong, the evidence, the runbook, the next command."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import msgspec
from msgspec import Struct

from recsys.artifacts.registry import Registry
from recsys.contracts.errors import RecsysError
from recsys.contracts.http import VersionResponse
from recsys.control.plane import ControlPlane
from recsys.control.release_moves import settle_moves
from recsys.pilot.asking import Answer, ask
from recsys.pilot.facts import exposed_secrets, utc_now
from recsys.pilot.metrics_text import MetricsText

MIN_FREE = 0.05
"""Share of the disk that has to be free."""

MAX_EMPTY, MAX_ERRORS = 0.005, 0.001
RECENT = timedelta(hours=1)
MIN_REQUESTS = 100
"""Ratios of fewer requests say nothing."""


SECOND_LOOK_S = 2.0
RATIOS: tuple[tuple[str, str, dict[str, str], float, str, str], ...] = (
    (
        "empty lists",
        "recsys_lists_total",
        {"kind": "empty"},
        MAX_EMPTY,
        "empty-lists",
        "recsys rules history --tenant T",
    ),
    (
        "failed requests",
        "recsys_requests_total",
        {"outcome": "server_error"},
        MAX_ERRORS,
        "errors",
        "read recsys_problems_total by code",
    ),
)
"""What is counted, where, the labels of the part, the share that is tolerated, the runbook, the next step."""


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
    first = _scrape(url)
    sights = list(_counts(first))
    if any(not sight.is_well for sight in sights):
        # Counters never fall, so what is over is told apart from what goes on by a second look.
        time.sleep(SECOND_LOOK_S)
        sights = list(_counts(_scrape(url), first))
    return [*_components(ask(f"{url}/readyz")), *sights]


def _scrape(url: str) -> MetricsText:
    return MetricsText(ask(f"{url}/metrics").body.decode())


def examine_data(plane: ControlPlane, registry: Registry, data_dir: Path) -> list[Sight]:
    """Look at store, registry and disk, whether a service runs or not."""
    return [*_store(plane, data_dir), *_releases(plane, registry), _disk(data_dir), _changes(plane)]


def examine_agreement(url: str, plane: ControlPlane, registry: Registry) -> list[Sight]:
    """Compare what a service serves with the pointers; nothing when one of them does not answer."""
    try:
        active = {tenant.tenant_id for tenant in plane.tenants() if tenant.state == "active"}
        served = _served(url)
        pointed: dict[str, str] = {}
        for tenant, surface in registry.surfaces():
            current = registry.current(tenant, surface) if tenant in active else None
            if current is not None:
                pointed[f"{tenant}/{surface}"] = current.manifest.version
        if served is not None and served != pointed:
            time.sleep(SECOND_LOOK_S)  # a release that was published just now is on its way
            served = _served(url)
    except RecsysError:
        return []  # told by the sights of store and registry
    if served is None:
        return []
    apart = [
        f"{name}: serves {served.get(name, 'nothing')[:12]}, "
        f"the pointer says {pointed.get(name, 'nothing')[:12]}"
        for name in sorted(served | pointed)
        if served.get(name) != pointed.get(name)
    ]
    step = f"give the --data-dir and --registry that the service at {url} was started with"
    evidence = "; ".join(apart) or f"serves what the pointers say, {len(pointed)} surfaces"
    return [Sight("agreement", not apart, evidence, *_unless(not apart, "not-ready", step))]


def _served(url: str) -> dict[str, str] | None:
    """Return the version of the release of each surface that a service serves."""
    answer = ask(f"{url}/version")
    if answer.status != 200:
        return None
    try:
        snapshots = msgspec.json.decode(answer.body, type=VersionResponse).snapshots
    except msgspec.DecodeError:
        return None
    return {name: versions.get("manifest_version", "") for name, versions in snapshots.items()}


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
        name, detail = str(one["name"]), str(one["detail"])
        unusable = ("corrupt-artifact", "recsys manifest rollback, or rules, or config")
        if detail.startswith("no signal"):
            unusable = ("not-ready", "publish signals of items that the catalog has: recsys signals load")
        runbook, step = runbooks.get(name, unusable)
        yield Sight(name, False, detail, runbook, step)


def _counts(metrics: MetricsText, before: MetricsText | None = None) -> Iterator[Sight]:
    for what, name, labels, limit, runbook, step in RATIOS:
        counts = (metrics.total(name, **labels), metrics.total(name))
        past = None if before is None else (before.total(name, **labels), before.total(name))
        yield _ratio(what, counts, past, limit, runbook, step)
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
            settle_moves(plane, registry, tenant, surface)
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
    """Tell what changed lately, newest first: not a trouble, but the first suspect."""
    since = utc_now() - RECENT
    recent = [
        entry
        for tenant in plane.tenants()
        for entry in plane.audit_entries(tenant.tenant_id, limit=3)
        if entry.time >= since
    ]
    told = [
        f"{entry.action} of {entry.tenant} at {entry.time:%H:%M} UTC by {entry.actor}"
        for entry in sorted(recent, key=lambda entry: entry.time, reverse=True)
    ]
    return Sight("changes", True, "; ".join(told) or "none in the last hour")


def _ratio(
    what: str,
    counts: tuple[float, float],
    before: tuple[float, float] | None,
    limit: float,
    runbook: str,
    step: str,
) -> Sight:
    """Judge a part of a whole; what happened since ``before`` counts alone when that is enough to judge."""
    part, whole = counts
    is_well = whole < MIN_REQUESTS or part <= limit * whole
    evidence = f"{part:,.0f} of {whole:,.0f} since the start"
    if before is not None and not is_well:
        new_part, new_whole = part - before[0], whole - before[1]
        evidence += f" of the service, {new_part:,.0f} of {new_whole:,.0f} just now"
        is_well = new_whole >= MIN_REQUESTS and new_part <= limit * new_whole
    return Sight(what, is_well, evidence, *_unless(is_well, runbook, step))


def _unless(is_well: bool, runbook: str, step: str) -> tuple[str, str]:
    return ("", "") if is_well else (runbook, step)
