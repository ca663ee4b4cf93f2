"""Rules resolved against one catalog: what is blocked, boosted and pinned while a set of rules is active."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from recsys._native import Catalog, ItemGroup, RuleSet
from recsys.contracts.rules import Rule, pin_limit

Target = tuple[str, str]
"""A target type other than ``ITEM``, and its key."""


class RuleTargets:
    """The items behind every tag, brand and category that a rules document names."""

    def __init__(self, catalog: Catalog, rules: Iterable[Rule]) -> None:
        """Find them in one native pass over the catalog, which does not stop other threads."""
        targets: list[Target] = list(
            dict.fromkeys(
                (rule.target_type, rule.target_key)
                for rule in rules
                if rule.target_type != "ITEM" and rule.target_key is not None
            )
        )
        self._groups = dict(zip(targets, ItemGroup.find(catalog, targets), strict=True))

    def items_of(self, rule: Rule) -> Sequence[str] | ItemGroup:
        """Return the item ids that the rule is about, or its group for anything but ``ITEM``."""
        if rule.target_type == "ITEM" or rule.target_key is None:
            return rule.targets
        return self._groups[(rule.target_type, rule.target_key)]


def resolve_rules(catalog: Catalog, targets: RuleTargets, rules: Sequence[Rule], now: datetime) -> RuleSet:
    """Return the native rules that hold at ``now``; ``rules`` are in scope and in order of authority."""
    active = [rule for rule in rules if rule.is_active(now)]
    return RuleSet(
        catalog,
        blocked=[(rule.rule_id, targets.items_of(rule)) for rule in active if rule.action == "BLOCK"],
        boosts=[
            (rule.rule_id, targets.items_of(rule), rule.multiplier)
            for rule in active
            if rule.action == "BOOST"
        ],
        pins=[(rule.rule_id, targets.items_of(rule)) for rule in active if rule.action == "PIN"],
        max_pins=pin_limit(active),
    )
