"""Rules resolved against one catalog: what is blocked, boosted and pinned while a set of rules is active."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from recsys._native import Catalog, Item, RuleSet
from recsys.contracts.rules import Rule, pin_limit

Target = tuple[str, str]
"""A target type other than ``ITEM``, and its key."""


class RuleTargets:
    """The items behind every tag, brand and category that a rules document names."""

    def __init__(self, catalog: Catalog, rules: Iterable[Rule]) -> None:
        """Read the catalog once, and not at all when every rule names items."""
        self._items: dict[Target, list[str]] = {
            (rule.target_type, rule.target_key): []
            for rule in rules
            if rule.target_type != "ITEM" and rule.target_key is not None
        }
        if self._items:
            for ordinal in range(catalog.n_items):
                self._add(catalog.item_at(ordinal))

    def items_of(self, rule: Rule) -> Sequence[str]:
        """Return the item ids that the rule is about, in byte order for anything but ``ITEM``."""
        if rule.target_type == "ITEM" or rule.target_key is None:
            return rule.targets
        return self._items[(rule.target_type, rule.target_key)]

    def _add(self, item: Item) -> None:
        targets: list[Target] = [("TAG", tag) for tag in item.tags]
        if item.brand is not None:
            targets.append(("BRAND", item.brand))
        if item.category is not None:
            targets.append(("CATEGORY", item.category))
        for target in targets:
            if target in self._items:
                self._items[target].append(item.item_id)


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
