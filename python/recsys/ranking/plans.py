"""Plans: the native form of the settings of one surface, segment and mode."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from recsys._native import Catalog, Plan, RuleSet, Rung, Signal, Source
from recsys.contracts.config import WEIGHT_GROUPS, Mode, Ranking, SignalName
from recsys.contracts.http import DEFAULT_SEGMENT

MODE_SIGNALS: dict[Mode, tuple[SignalName, ...]] = {
    "popularity": ("popularity",),
    "cooc": ("cooc",),
    "implicit": ("implicit",),
    "session_seq": ("session_seq",),
    "content_sim": ("content_sim",),
    "blend": ("popularity", "cooc", "implicit", "session_seq", "content_sim"),
}


class CompiledPlan(Struct, frozen=True):
    """A native plan with the settings that it is made from, and what a response says about it.

    ``missing`` names the signals that the mode asks for and the surface does not have; a blend asks for those
    whose weight is not 0 and that have an artifact, and misses popularity and co-visitation only.
    """

    plan: Plan
    mode: Mode
    missing: tuple[SignalName, ...]
    ranking: Ranking


def compile_plan(
    catalog: Catalog,
    signals: Mapping[SignalName, Signal],
    ranking: Ranking,
    *,
    mode: Mode,
    segment: str,
    rules: RuleSet | None,
) -> CompiledPlan:
    """Return the plan for requests of ``segment`` in ``mode``."""
    asked = MODE_SIGNALS[mode]
    required = ("popularity", "cooc") if mode == "blend" else asked
    sources = [
        Source(
            name,
            signals[name],
            key=segment if signals[name].key_type == "segment" else None,
            weight=getattr(ranking.weights, WEIGHT_GROUPS[name]) if mode == "blend" else 1.0,
            weight_group=WEIGHT_GROUPS[name],
            normalizer=ranking.normalizer,
        )
        for name in asked
        if name in signals
    ]
    plan = Plan(
        catalog,
        sources,
        ladder=_build_ladder(catalog, signals.get("popularity"), ranking, segment),
        rules=rules,
        anchor_decay=ranking.anchor_decay,
        brand_cap=ranking.brand_cap,
        category_cap=ranking.category_cap,
        mmr_lambda=ranking.mmr_lambda,
        mmr_pool=ranking.mmr_pool,
    )
    return CompiledPlan(plan, mode, tuple(name for name in required if name not in signals), ranking)


def _build_ladder(catalog: Catalog, popularity: Signal | None, ranking: Ranking, segment: str) -> list[Rung]:
    """Return the rungs that can give items: each list of popularity stands once, under its first name.

    A tenant file has no signal that is shared by surfaces, so the tenant's default is the surface's.
    """
    rungs: list[Rung] = []
    stood: set[str] = set()
    for name in ranking.ladder:
        if name == "newest":
            rungs.append(Rung.newest(name))
            continue
        key = segment if name == "segment" else DEFAULT_SEGMENT
        if popularity is None or key in stood or popularity.ranked(catalog, key, 1) is None:
            continue
        stood.add(key)
        rungs.append(Rung.of_signal(name, popularity, key))
    return rungs
