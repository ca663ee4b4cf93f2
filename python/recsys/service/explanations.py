"""Why each item of a list stands where it does."""

from __future__ import annotations

import math

from recsys.contracts.http import AppliedBoost, Contribution, ItemExplanation
from recsys.service.composed_lists import ServedList

_PIN = "pin:"
_FALLBACK = "fallback:"


def explain_items(ranked: ServedList, *, is_full: bool) -> list[ItemExplanation]:
    """Return an explanation per item of a list that was ranked with ``explain``."""
    explained = zip(ranked.contributions, ranked.boosts, ranked.reasons, strict=True)
    return [
        ItemExplanation(
            contributions=[Contribution(*part) for part in parts],
            boost=math.prod(multiplier for _, multiplier in boosts),
            rules=[AppliedBoost(rule, multiplier) for rule, multiplier in boosts] if is_full else None,
            pinned_by=_find(reasons, _PIN) if is_full else None,
            rung=_find(reasons, _FALLBACK) if is_full else None,
        )
        for parts, boosts, reasons in explained
    ]


def _find(reasons: list[str], prefix: str) -> str | None:
    return next((reason.removeprefix(prefix) for reason in reasons if reason.startswith(prefix)), None)
