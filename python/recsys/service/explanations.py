"""Why each item of a list stands where it does, and why others do not."""

from __future__ import annotations

from collections.abc import Iterable

from recsys._native import Ranked
from recsys.contracts.http import AppliedBoost, Contribution, FilteredItem, ItemExplanation, MmrStep
from recsys.contracts.rules import MAX_BOOST
from recsys.service.composed_lists import ServedList

_PIN = "pin:"
_FALLBACK = "fallback:"


def explain_items(ranked: ServedList, *, is_full: bool) -> list[ItemExplanation]:
    """Return an explanation per item of a list that was ranked with ``explain``."""
    explained = zip(
        ranked.contributions, ranked.boosts, ranked.dampings, ranked.mmr_steps, ranked.reasons, strict=True
    )
    explanations = []
    for parts, boosts, damping, step, reasons in explained:
        rung = _find(reasons, _FALLBACK)
        explanation = ItemExplanation(
            contributions=[
                Contribution(signal if rung is None else _FALLBACK + signal, *values)
                for signal, *values in parts
            ],
            boost=_multiply(multiplier for _, multiplier in boosts),
            damping=damping,
            rules=[AppliedBoost(rule, multiplier) for rule, multiplier in boosts] if is_full else None,
            pinned_by=_find(reasons, _PIN) if is_full else None,
            rung=rung if is_full else None,
            mmr=_explain_step(step) if is_full else None,
        )
        explanations.append(explanation)
    return explanations


def explain_filtered(ranked: Ranked) -> list[FilteredItem]:
    """Return the first items that were considered and left out."""
    return [FilteredItem(item_id, name, rule) for item_id, name, rule in ranked.filtered_items]


def _multiply(multipliers: Iterable[float]) -> float:
    """Return the product, which is bounded at each step, as the ranker bounds it."""
    boost = 1.0
    for multiplier in multipliers:
        boost = min(boost * multiplier, MAX_BOOST)
    return boost


def _explain_step(step: tuple[int, float, float, float, float] | None) -> MmrStep | None:
    if step is None:
        return None
    place, weight, relevance, similarity, value = step
    return MmrStep(weight, relevance, similarity, value, place + 1)


def _find(reasons: list[str], prefix: str) -> str | None:
    return next((reason.removeprefix(prefix) for reason in reasons if reason.startswith(prefix)), None)
