"""The production checklist: what has to hold before customers depend on it."""

from __future__ import annotations

import shlex
from datetime import timedelta

from recsys.pilot.alerting import ALERTS
from recsys.pilot.drills.catalog import DRILLS
from recsys.pilot.facts import Facts, Probe
from recsys.pilot.phases import (
    check_backup,
    check_drills,
    check_joins,
    check_keys,
    check_rollback,
    next_backup,
    next_rollback,
)
from recsys.pilot.requirements import Finding, Group, Requirement, counted, met_if

RECENT = timedelta(days=30)
BACKUP_AGE = timedelta(days=2)
DEFAULT_SCHEDULE_H = 24.0
OBJECTIVE_P95_MS = 50.0
RETENTION_DAYS = 400


def readiness_groups() -> tuple[Group, ...]:
    """Return the groups of the checklist."""
    return (
        Group(
            "Access",
            (
                Requirement("auth", "Requests without a credential are refused", _check_auth),
                Requirement("keys", "Callers have keys of their own", check_keys),
                Requirement("roles", "Nobody who ranks may also change things", _check_roles),
                Requirement("expiry", "Keys expire", _check_expiry, is_must=False),
                Requirement("secrets", "Secrets are for the service alone", _check_secrets),
            ),
        ),
        Group(
            "Serving",
            (
                Requirement("ready", "The service is ready", _check_ready),
                Requirement(
                    "freshness", "The release is at most twice as old as its schedule", _check_freshness
                ),
                Requirement("capacity", "Capacity was measured", _check_capacity),
                Requirement("limits", "The tenant has a rate limit", _check_limits, is_must=False),
            ),
        ),
        Group(
            "Watching",
            (
                Requirement("alerts", "Alerts on the objectives are loaded", _check_alerts),
                Requirement("receivers", "What they fire reaches a receiver", _check_receivers),
            ),
        ),
        Group(
            "Recovery",
            (
                Requirement("rollback", "A rollback within 30 days", _check_recent_rollback),
                Requirement("drills", "Every drill passed when it was last run", _check_every_drill),
                Requirement("backup", "A backup within two days", _check_recent_backup),
            ),
        ),
        Group(
            "Data",
            (
                Requirement("joins", "At least 95 % of outcomes join", check_joins),
                Requirement("retention", "Logs are not kept for ever", _check_retention),
            ),
        ),
    )


def _check_auth(facts: Facts) -> Finding:
    if facts.probe is None:
        return Finding("unknown", "no running service was asked", "add --url http://HOST:PORT")
    status = facts.probe.unauthenticated
    if status == 0:
        return Finding("unknown", "the service did not answer", _doctor(facts, facts.probe))
    return met_if(
        status == 401, f"answered {status} without a credential", f"recsys serve{facts.place}, without --dev"
    )


def _check_ready(facts: Facts) -> Finding:
    if facts.probe is None:
        return Finding("unknown", "no running service was asked", "add --url http://HOST:PORT")
    status = facts.probe.ready
    return met_if(status == 200, f"/readyz answered {status or 'nothing'}", _doctor(facts, facts.probe))


def _doctor(facts: Facts, probe: Probe) -> str:
    return f"recsys doctor --url {probe.url}{facts.place}"


def _check_roles(facts: Facts) -> Finding:
    usable = [key for key in facts.keys if key.is_usable(facts.now)]
    mixed = [key.key_id for key in usable if "service" in key.roles and len(key.roles) > 1]
    evidence = counted(len(usable), "usable key") + (f", of mixed roles: {', '.join(mixed)}" if mixed else "")
    return met_if(
        bool(usable) and not mixed,
        evidence,
        f"recsys key issue --tenant {shlex.quote(facts.tenant)}{facts.place} --role …, one for each role",
    )


def _check_expiry(facts: Facts) -> Finding:
    endless = [key.key_id for key in facts.keys if key.is_usable(facts.now) and key.expires_at is None]
    evidence = f"{counted(len(endless), 'usable key')} without an expiry"
    return met_if(
        not endless,
        evidence,
        f"recsys key issue --tenant {shlex.quote(facts.tenant)}{facts.place} --role … --expires-days 90",
    )


def _check_secrets(facts: Facts) -> Finding:
    exposed = facts.exposed_secrets
    evidence = "open to others: " + ", ".join(exposed) if exposed else "files are for their owner alone"
    return met_if(not exposed, evidence, f"chmod -R go-rwx {shlex.quote(str(facts.data_dir / 'control'))}")


def _check_freshness(facts: Facts) -> Finding:
    surface = None if facts.config is None else facts.config.surfaces.get(facts.surface)
    hours = (
        DEFAULT_SCHEDULE_H if surface is None or surface.schedule_hours is None else surface.schedule_hours
    )
    build = f"recsys pipeline run {facts.of_surface}{facts.place} …"
    if facts.current is None:
        return Finding("open", "no release", build)
    age = facts.now - facts.current.updated_at
    evidence = f"{age / timedelta(hours=1):.1f} h old, schedule {hours:g} h"
    return met_if(age <= 2 * timedelta(hours=hours), evidence, build)


def _check_capacity(facts: Facts) -> Finding:
    url = "http://HOST:PORT" if facts.probe is None else facts.probe.url
    measure = (
        f"recsys pilot capacity --url {url} {facts.of_surface} --out {facts.evidence_path('capacity.json')}"
    )
    if not facts.files.capacities:
        return Finding("open", "never measured", measure)
    latest = facts.files.capacities[-1]
    evidence = (
        f"{latest.requests_per_s:,.0f} requests a second at p95 {latest.p95_ms:.1f} ms ({latest.at:%Y-%m-%d})"
    )
    if latest.failed or latest.requests_per_s <= 0:
        return Finding("open", f"{evidence}, {latest.failed:,} failed", measure)
    return met_if(latest.p95_ms <= OBJECTIVE_P95_MS, evidence, "see the page on capacity")


def _check_limits(facts: Facts) -> Finding:
    limit = None if facts.config is None else facts.config.limits.tenant_requests_per_s
    evidence = "none" if limit is None else f"{limit:g} requests a second"
    return met_if(limit is not None, evidence, "set limits.tenant_requests_per_s in the config")


def _check_alerts(facts: Facts) -> Finding:
    if facts.alerting is None:
        return Finding("unknown", "no Prometheus was asked", _ask_prometheus(facts))
    if facts.now - facts.alerting.at > RECENT:
        return Finding("open", f"asked on {facts.alerting.at:%Y-%m-%d}, too long ago", _ask_prometheus(facts))
    missing = facts.alerting.missing()
    evidence = f"{len(ALERTS) - len(missing)} of {len(ALERTS)} loaded"
    if missing:
        evidence += f", not: {', '.join(missing)}"
    return met_if(not missing, evidence, "load deploy/prometheus/recsys.rules.yml; promtool check rules")


def _ask_prometheus(facts: Facts) -> str:
    out = facts.evidence_path("alerts.json")
    return f"add --prometheus http://HOST:PORT, or recsys pilot alerts --prometheus … --out {out}"


def _check_receivers(facts: Facts) -> Finding:
    if facts.alerting is None:
        return Finding("unknown", "no Prometheus was asked", _ask_prometheus(facts))
    found = facts.alerting
    if not found.alertmanagers:
        return Finding("open", "no Alertmanager answers", "set `alerting` in prometheus.yml, with a route")
    evidence = f"{', '.join(found.alertmanagers)} to {', '.join(found.receivers) or 'nobody'}"
    return met_if(bool(found.receivers), evidence, "give the route of alertmanager.yml a receiver")


def _check_every_drill(facts: Facts) -> Finding:
    finding = check_drills(facts)
    done = {one.drill for one in facts.files.drills}
    missing = [drill.name for drill in DRILLS if drill.name not in done]
    if finding.state == "met" and missing:
        again = f"recsys drill all --out {facts.evidence_path('drills')}"
        return Finding("open", f"never run: {', '.join(missing)}", again)
    return finding


def _check_recent_rollback(facts: Facts) -> Finding:
    finding = check_rollback(facts)
    recent = [
        action
        for action, time in facts.actions.items()
        if action.endswith("rollback") and facts.now - time <= RECENT
    ]
    if finding.state == "met" and not recent:
        return Finding("open", f"{finding.evidence}: more than 30 days ago", next_rollback(facts))
    return finding


def _check_recent_backup(facts: Facts) -> Finding:
    finding = check_backup(facts)
    if finding.state == "met" and facts.now - facts.files.backups[-1].made_at > BACKUP_AGE:
        return Finding("open", f"{finding.evidence}: too old", next_backup(facts))
    return finding


def _check_retention(facts: Facts) -> Finding:
    oldest = min((log.oldest for log in (facts.exposures, facts.outcomes) if log.oldest), default=None)
    if oldest is None:
        return Finding("met", "no compacted logs yet")
    age = (facts.now.date() - oldest).days
    return met_if(
        age <= RETENTION_DAYS,
        f"the oldest day is {age} days ago",
        f"recsys logs retain --days N{facts.place}",
    )
