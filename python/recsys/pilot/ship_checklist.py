"""The ship checklist: what has to hold before a candidate takes over from the baseline.

The order is that of the gates of a decision: schemas, joins, guardrails, primary metric, the way back.
"""

from __future__ import annotations

from recsys.pilot.facts import Facts
from recsys.pilot.phases import (
    check_baseline,
    check_joins,
    check_offline,
    check_rollback,
    check_signals,
    next_decision,
    next_validation,
)
from recsys.pilot.requirements import Finding, Group, Requirement, counted, met_if


def ship_groups() -> tuple[Group, ...]:
    """Return the groups of the checklist."""
    return (
        Group(
            "The logs can be trusted",
            (
                Requirement("schemas", "The latest validation is sane", _check_schemas),
                Requirement("joins", "At least 95 % of outcomes join", check_joins),
            ),
        ),
        Group(
            "The candidate is better",
            (
                Requirement("baseline", "There is a baseline to compare with", check_baseline),
                Requirement("candidate", "The candidate is published", check_signals),
                Requirement("offline", "Compared offline, and not worse", check_offline),
                Requirement("decision", "The gates say ship", _check_ship, is_must=False),
            ),
        ),
        Group(
            "There is a way back",
            (
                Requirement("target", "An earlier release can be pointed at", _check_target),
                Requirement("rehearsed", "Rollback was rehearsed", check_rollback),
            ),
        ),
    )


def _check_schemas(facts: Facts) -> Finding:
    validate = next_validation(facts)
    if not facts.files.validations:
        return Finding("open", "no validation", validate)
    latest = facts.files.validations[-1]
    lines = ", ".join(f"{count:,} {log}" for log, count in latest.lines.items())
    return met_if(latest.verdict == "sane", f"{latest.verdict}: {lines}", validate)


def _check_ship(facts: Facts) -> Finding:
    if not facts.files.decisions:
        return Finding("open", "no decision yet", next_decision(facts))
    latest = facts.files.decisions[-1]
    return met_if(latest.decision == "ship", latest.decision, next_decision(facts))


def _check_target(facts: Facts) -> Finding:
    earlier = [one for one in facts.releases if facts.current is None or one.version != facts.current.version]
    return met_if(
        bool(earlier), f"{counted(len(earlier), 'earlier release')} kept", "publish a second release"
    )
