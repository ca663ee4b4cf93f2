"""The phases of a pilot with their exit criteria, each looked for in the team's own facts."""

from __future__ import annotations

import shlex

from recsys.pilot.facts import Facts
from recsys.pilot.requirements import Finding, Group, Requirement, counted, met_if

MIN_JOIN_RATE = 0.95


def phase_groups() -> tuple[Group, ...]:
    """Return the phases of the pilot in their order."""
    return (
        Group(
            "Phase 1, week 1: baseline and instrumentation",
            (
                Requirement("tenant", "The tenant exists and is active", check_tenant),
                Requirement("baseline", "A release with popularity serves the surface", check_baseline),
                Requirement("exposures", "Exposures are logged", check_exposures),
                Requirement("outcomes", "Outcomes arrive", check_outcomes),
                Requirement("joins", "At least 95 % of outcomes join", check_joins),
                Requirement("first-report", "A report from real logs", check_first_report),
            ),
        ),
        Group(
            "Phase 2, weeks 2 and 3: better relevance, safely",
            (
                Requirement("signals", "A second signal is published beside popularity", check_signals),
                Requirement("rules", "Business rules are in force", check_rules),
                Requirement("segments", "Segments are in use", check_segments, is_must=False),
                Requirement("offline", "Candidate and baseline compared offline", check_offline),
                Requirement("rollback-drill", "Rollback was rehearsed", check_rollback),
            ),
        ),
        Group(
            "Phase 3, weeks 4 to 6: hardening and experiment",
            (
                Requirement("experiment", "An experiment was analysed", check_experiment),
                Requirement("decision", "A decision was made from gates", check_decision),
                Requirement("drills", "Drills were passed", check_drills),
                Requirement("keys", "Callers have keys of their own", check_keys),
                Requirement("backup", "The control store is backed up", check_backup),
            ),
        ),
    )


def fast_path_groups() -> tuple[Group, ...]:
    """Return the fast path of 2 to 4 weeks: the same criteria without rules and segments."""
    first, second, third = phase_groups()
    kept = tuple(one for one in second.requirements if one.id not in ("rules", "segments"))
    return (
        Group("Days 1 and 2: baseline and instrumentation", first.requirements),
        Group("Week 1: better relevance, safely", kept),
        Group("Weeks 2 to 4: hardening and experiment", third.requirements),
    )


def check_tenant(facts: Facts) -> Finding:
    """The tenant exists and is active."""
    if facts.tenant_state is None:
        return Finding(
            "open", "no such tenant", f"recsys tenant create {shlex.quote(facts.tenant)}{facts.place}"
        )
    resume = f"recsys tenant resume {shlex.quote(facts.tenant)}{facts.place}"
    return met_if(facts.tenant_state == "active", facts.tenant_state, resume)


def check_baseline(facts: Facts) -> Finding:
    """A current release has popularity."""
    publish = f"recsys pipeline run {facts.of_surface}{facts.place} …, or recsys signals load"
    if facts.current is None:
        return Finding("open", "; ".join(facts.troubles) or "no release", publish)
    evidence = f"release {facts.current.version[:12]} with {', '.join(facts.current.kinds)}"
    return met_if("popularity" in facts.current.kinds, evidence, publish)


def check_exposures(facts: Facts) -> Finding:
    """There is an exposure log."""
    evidence = f"{counted(facts.exposures.files, 'file')}, {facts.exposures.bytes:,} bytes"
    return met_if(facts.exposures.bytes > 0, evidence, "send requests to POST /v1/recommend")


def check_outcomes(facts: Facts) -> Finding:
    """There is an outcome log."""
    evidence = f"{counted(facts.outcomes.files, 'file')}, {facts.outcomes.bytes:,} bytes"
    return met_if(facts.outcomes.bytes > 0, evidence, "send clicks with their request_id to POST /v1/events")


def check_joins(facts: Facts) -> Finding:
    """The latest validation with a join is sane and joins enough."""
    validate = next_validation(facts)
    rated = [one for one in facts.files.validations if one.join_rate is not None]
    if not rated:
        return Finding("open", "no validation of exposures with outcomes", validate)
    latest = rated[-1]
    rate = latest.join_rate or 0.0
    evidence = f"{rate:.1%} join, verdict {latest.verdict} ({latest.path.name}, {latest.at:%Y-%m-%d})"
    mend = f"mend what it found, as docs/runbooks/broken-joins.md says, then: {validate}"
    return met_if(rate >= MIN_JOIN_RATE and latest.verdict == "sane", evidence, mend)


def check_first_report(facts: Facts) -> Finding:
    """Any report or validation exists."""
    validations, reports = facts.files.validations, facts.files.reports
    evidence = f"{counted(len(validations), 'validation')}, {counted(len(reports), 'report')}"
    return met_if(bool(validations or reports), evidence, next_validation(facts))


def next_validation(facts: Facts) -> str:
    """Return the line that validates the logs of the data folder, and keeps what it found."""
    return facts.printed_to(f"recsys eval validate {facts.logs}", "validation.json")


def check_signals(facts: Facts) -> Finding:
    """A release has a signal beside popularity."""
    richer = [one for one in facts.releases if set(one.kinds) - {"popularity"}]
    if richer:
        latest = max(richer, key=lambda one: one.updated_at)
        return Finding("met", f"release {latest.version[:12]} with {', '.join(latest.kinds)}")
    return Finding(
        "open",
        "popularity alone",
        f"recsys pipeline run {facts.of_surface}{facts.place} … with co-visitation",
    )


def check_rules(facts: Facts) -> Finding:
    """A rules document with rules is current."""
    evidence = f"{counted(facts.n_rules, 'rule')}, {counted(facts.rules.revisions, 'revision')}"
    return met_if(
        facts.n_rules > 0,
        evidence,
        f"recsys rules put FILE --tenant {shlex.quote(facts.tenant)}{facts.place}",
    )


def check_segments(facts: Facts) -> Finding:
    """Config derives segments, or ranks some apart."""
    config = facts.config
    surface = None if config is None else config.surfaces.get(facts.surface)
    derived = 0 if config is None else len(config.segmentation)
    apart = 0 if surface is None else len(surface.segments)
    return met_if(
        derived + apart > 0,
        f"{counted(derived, 'segmentation rule')}, {counted(apart, 'segment')} with own settings",
        "add `segmentation` or `surfaces.<surface>.segments` to the config",
    )


def check_offline(facts: Facts) -> Finding:
    """An offline report exists, and its gates did not fail."""
    out = facts.evidence_path("offline")
    compare = f"recsys eval offline {facts.logs} {facts.of_surface}{facts.place} --out {out}"
    reports = [one for one in facts.files.reports if one.mode == "offline"]
    if not reports:
        return Finding("open", "no offline report", compare)
    latest = reports[-1]
    evidence = f"{latest.path.parent.name}: {latest.decision} ({latest.created_at:%Y-%m-%d})"
    return met_if(latest.decision != "fail", evidence, compare)


def check_rollback(facts: Facts) -> Finding:
    """A rollback of config, rules or a release is in the audit trail."""
    rolled = sorted(
        (time, action)
        for action, time in facts.actions.items()
        if action.endswith((".rollback", ".roll_back"))
    )
    if not rolled:
        return Finding("open", "no rollback in the audit trail", next_rollback(facts))
    time, action = rolled[-1]
    return Finding("met", f"{action} on {time:%Y-%m-%d %H:%M} UTC")


def next_rollback(facts: Facts) -> str:
    """Return the command that rehearses a rollback; of rules that were never put there is none."""
    of = f"--tenant {shlex.quote(facts.tenant)}{facts.place}"
    first = "" if facts.rules.revisions else f"recsys rules put FILE {of}, then "
    return f"{first}recsys rules rollback {of}, and forward"


def check_experiment(facts: Facts) -> Finding:
    """An experiment report exists."""
    reports = [one for one in facts.files.reports if one.mode == "experiment"]
    if not reports:
        out = facts.evidence_path("experiment")
        tenant = shlex.quote(facts.tenant)
        measure = f"recsys eval experiment {facts.logs} --tenant {tenant} --plan PLAN --out {out}"
        return Finding("open", "no experiment report", measure)
    return Finding("met", f"{len(reports)}, the last of {reports[-1].created_at:%Y-%m-%d}")


def check_decision(facts: Facts) -> Finding:
    """A decision document exists."""
    if not facts.files.decisions:
        return Finding("open", "no decision", next_decision(facts))
    latest = facts.files.decisions[-1]
    return Finding("met", f"{latest.decision} ({latest.path.name}, {latest.at:%Y-%m-%d})")


def next_decision(facts: Facts) -> str:
    """Return the command that decides from the logs of the data folder, and keeps the decision."""
    where = f"--registry {shlex.quote(facts.registry)} {facts.of_surface}"
    return f"recsys eval decide --plan PLAN {facts.logs} {where} --out {facts.evidence_path('decision')}"


def check_drills(facts: Facts) -> Finding:
    """Drills have passed, and none failed when it was last run."""
    latest = {one.drill: one for one in facts.files.drills}
    failed = sorted(name for name, one in latest.items() if not one.passed)
    evidence = f"{len(latest) - len(failed)} passed" + (f", failed: {', '.join(failed)}" if failed else "")
    return met_if(
        bool(latest) and not failed, evidence, f"recsys drill all --out {facts.evidence_path('drills')}"
    )


def check_keys(facts: Facts) -> Finding:
    """A usable key of a role that ranks exists."""
    usable = [key for key in facts.keys if key.is_usable(facts.now)]
    evidence = counted(len(usable), "usable key")
    return met_if(
        any("service" in key.roles for key in usable),
        evidence,
        f"recsys key issue --tenant {shlex.quote(facts.tenant)} --role service{facts.place}",
    )


def check_backup(facts: Facts) -> Finding:
    """A backup exists."""
    if not facts.files.backups:
        return Finding("open", "no backup", next_backup(facts))
    latest = facts.files.backups[-1]
    return Finding("met", f"{latest.path.parent.name} of {latest.made_at:%Y-%m-%d}")


def next_backup(facts: Facts) -> str:
    """Return the command that makes a backup where it is looked for."""
    folder = shlex.quote(str(facts.backups / f"{facts.now:%Y-%m-%d-%H%M}"))
    return f"recsys backup {folder}{facts.place}"
