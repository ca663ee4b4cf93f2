"""What is odd about rules that are tried or put, in the light of the catalogs that are served."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from recsys.contracts.rules import Rule, RuleWarning
from recsys.ranking.unknown_targets import find_unknown_targets
from recsys.service.tenants import ServedTenant


def rule_warnings(tenant: ServedTenant, rules: Sequence[Rule]) -> list[RuleWarning]:
    """Return the warnings about a rules document of a tenant; a surface without a release is not asked."""
    catalogs = {surface: snapshot.catalog for surface, snapshot in tenant.snapshots.items()}
    return find_unknown_targets(catalogs, rules, datetime.now(UTC))
