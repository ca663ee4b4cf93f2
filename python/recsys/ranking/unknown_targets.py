"""Rules that name what no catalog has: a typing error, or an item that is yet to come."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from recsys._native import Catalog, ItemGroup
from recsys.contracts.rules import Rule, RuleWarning

MAX_WARNINGS = 10
MAX_NAMED = 3
"""Targets, and surfaces, that one warning names."""

_MAX_SHOWN_CHARACTERS = 60

Target = tuple[str, str]
"""A target type, and an item id or key."""


def find_unknown_targets(
    catalogs: Mapping[str, Catalog], rules: Sequence[Rule], now: datetime
) -> list[RuleWarning]:
    """Return a warning for each rule that names a surface, item, tag, brand or category that is not there.

    ``catalogs`` are those of the surfaces that are served; asked are those of the surfaces where the rule
    holds. Nothing is said when none is served, nor of a rule that is off, or over at ``now`` (with a zone).
    At most ``MAX_WARNINGS`` rules are named for either reason, then one more warning counts the others.
    """
    if not catalogs:
        return []
    heard = {index: rule for index, rule in enumerate(rules) if rule.enabled and not rule.is_over(now)}
    asked = {
        index: [surface for surface in sorted(catalogs) if rule.surface in (None, surface)]
        for index, rule in heard.items()
    }
    nowhere = [index for index, surfaces in asked.items() if not surfaces]
    warnings = [_warn_of_surface(index, rules[index], catalogs) for index in nowhere[:MAX_WARNINGS]]
    if len(nowhere) > MAX_WARNINGS:
        more = f"rules: {len(nowhere) - MAX_WARNINGS} more of them are for surfaces that are not served"
        warnings.append(RuleWarning("RULE_SURFACE_UNKNOWN", more))
    asked = {index: surfaces for index, surfaces in asked.items() if surfaces}
    unknown = {index: dict.fromkeys(_targets_of(rules[index])) for index in asked}
    # Surfaces share catalogs, and each is read once.
    files = {catalogs[surface].path: catalogs[surface] for surface in sorted(catalogs)}
    for path, catalog in files.items():
        having = [
            index
            for index, surfaces in asked.items()
            if unknown[index] and any(catalogs[surface].path == path for surface in surfaces)
        ]
        known = _known(catalog, {target for index in having for target in unknown[index]})
        for index in having:
            unknown[index] = dict.fromkeys(target for target in unknown[index] if target not in known)
    found = [(index, list(missing)) for index, missing in unknown.items() if missing]
    warnings += [
        _warn(index, rules[index], [key for _, key in missing], asked[index])
        for index, missing in found[:MAX_WARNINGS]
    ]
    if len(found) > MAX_WARNINGS:
        more = f"rules: {len(found) - MAX_WARNINGS} more of them name what the catalogs do not have"
        warnings.append(RuleWarning("RULE_TARGET_UNKNOWN", more))
    return warnings


def _targets_of(rule: Rule) -> list[Target]:
    return [(rule.target_type, key) for key in rule.targets]


def _known(catalog: Catalog, targets: Iterable[Target]) -> set[Target]:
    """Return those of the targets that the catalog has."""
    items = [target for target in targets if target[0] == "ITEM"]
    groups = [target for target in targets if target[0] != "ITEM"]
    known = {target for target in items if catalog.ordinal(target[1]) is not None}
    known.update(
        target for target, group in zip(groups, ItemGroup.find(catalog, groups), strict=True) if group.n_items
    )
    return known


def _warn(index: int, rule: Rule, missing: Sequence[str], surfaces: Sequence[str]) -> RuleWarning:
    field = "item_ids" if rule.item_ids else "target_key"
    having = "the catalog of {} has" if len(surfaces) == 1 else "the catalogs of {} have"
    return RuleWarning(
        "RULE_TARGET_UNKNOWN",
        f"rules[{index}].{field}: {having.format(_some(surfaces))} no {rule.target_type.lower()} "
        f"{_some([repr(_shown(key)) for key in missing])} (rule {_shown(rule.rule_id)!r})",
    )


def _warn_of_surface(index: int, rule: Rule, surfaces: Iterable[str]) -> RuleWarning:
    return RuleWarning(
        "RULE_SURFACE_UNKNOWN",
        f"rules[{index}].surface: {_shown(rule.surface or '')!r} is not served; "
        f"served: {_some(sorted(surfaces))} (rule {_shown(rule.rule_id)!r})",
    )


def _some(words: Sequence[str]) -> str:
    shown = ", ".join(words[:MAX_NAMED])
    return shown if len(words) <= MAX_NAMED else f"{shown} and {len(words) - MAX_NAMED} more"


def _shown(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN_CHARACTERS else f"{text[:_MAX_SHOWN_CHARACTERS]}..."
