"""The warnings that a ranked list earns, in a fixed order."""

from __future__ import annotations

from recsys._native import Ranked
from recsys.contracts.http import ListWarning
from recsys.ranking.plans import CompiledPlan

_CONSTRAINTS = ("required_tags", "forbidden_tags", "max_per_tag")
_INELIGIBLE = ("not_included", "unavailable", "expired", "excluded", "blocked", "seen")


def list_warnings(
    told: list[ListWarning], plan: CompiledPlan, ranked: Ranked, *, is_restricted: bool
) -> list[ListWarning]:
    """Return the warnings about ``ranked`` after those ``told`` about the request itself.

    ``is_restricted`` says that the request has an allow-list.
    """
    if ranked.is_plain and not plan.missing and not is_restricted:
        return told
    warnings = list(told)
    warnings += (ListWarning("SIGNAL_UNAVAILABLE", f"{name}: no artifact") for name in plan.missing)
    for name, asked, found in ranked.source_keys:
        if asked and not found:
            warnings.append(ListWarning("SIGNAL_UNAVAILABLE", f"{name}: knows none of {asked} keys"))
        elif found < asked:
            warnings.append(ListWarning("SIGNAL_PARTIAL", f"{name}: knows {found} of {asked} keys"))
    filtered = ranked.filtered
    dropped = [f"{name}: {filtered[name]}" for name in _CONSTRAINTS if filtered.get(name)]
    if dropped:
        warnings.append(ListWarning("CONSTRAINTS_FILTERED", "dropped by " + ", ".join(dropped)))
    elif not ranked.item_ids and not is_restricted:
        counts = [f"{name}: {count}" for name, count in filtered.items() if count]
        detail = ", ".join(counts) or "no signal gives one that passes"
        warnings.append(ListWarning("CONSTRAINTS_FILTERED", f"no item may be returned: {detail}"))
    warnings += (ListWarning("RULE_PIN_INJECTED", item_id) for item_id in ranked.pins_injected)
    if is_restricted:
        warnings += _include_warnings(ranked)
    warnings += (ListWarning("FALLBACK_USED", rung) for rung in ranked.rungs)
    return warnings


def _include_warnings(ranked: Ranked) -> list[ListWarning]:
    warnings: list[ListWarning] = []
    filtered = ranked.filtered
    dropped = [f"{name}: {filtered[name]}" for name in _INELIGIBLE if filtered.get(name)]
    if ranked.include_unknown:
        dropped.append(f"unknown: {ranked.include_unknown}")
    if dropped:
        warnings.append(ListWarning("CANDIDATES_INCLUDE_FILTERED", ", ".join(dropped)))
    if not ranked.item_ids:
        warnings.append(ListWarning("CANDIDATES_INCLUDE_EMPTY", "none of include_ids may be returned"))
    return warnings
