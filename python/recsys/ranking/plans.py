"""Plans: the native form of the settings of one surface, segment and mode."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from recsys._native import Catalog, Plan, RuleSet, Rung, SessionIndex, Signal, Source
from recsys.contracts.config import WEIGHT_GROUPS, Mode, Ranking, SignalName, weight_of
from recsys.contracts.http import DEFAULT_SEGMENT

MODE_SIGNALS: dict[Mode, tuple[SignalName, ...]] = {
    "popularity": ("popularity",),
    "cooc": ("cooc",),
    "implicit": ("implicit",),
    "session_seq": ("session_seq",),
    "content_sim": ("content_sim",),
    "session_knn": ("session_knn",),
    "blend": ("popularity", "cooc", "implicit", "session_seq", "content_sim", "session_knn"),
}

_BLEND_NEEDS: tuple[SignalName, ...] = ("popularity", "cooc")

AnySignal = Signal | SessionIndex
"""What a mode ranks by: lists made before, or sessions that are searched at request time."""


class CompiledPlan(Struct, frozen=True):
    """A native plan with the settings that it is made from, and what a response says about it.

    ``missing`` names the signals that the mode asks for and the surface does not have; a blend asks for those
    whose weight is not 0 and that have an artifact, and misses popularity and co-visitation only.
    """

    plan: Plan
    mode: Mode
    missing: tuple[SignalName, ...]
    ranking: Ranking
    is_direct: bool
    """Whether a ranking is served as it is, and nothing but the request makes it."""


def compile_plan(
    catalog: Catalog,
    signals: Mapping[SignalName, AnySignal],
    ranking: Ranking,
    *,
    mode: Mode,
    segment: str,
    rules: RuleSet | None,
) -> CompiledPlan:
    """Return the plan for requests of ``segment`` in ``mode``."""
    asked = MODE_SIGNALS[mode]
    is_blend = mode == "blend"
    weights = {name: weight_of(ranking.weights, name) if is_blend else 1.0 for name in asked}
    required = [name for name in _BLEND_NEEDS if weights[name]] if is_blend else asked
    sources = [
        _build_source(name, signals[name], ranking, segment, weights[name])
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
    missing = tuple(name for name in required if name not in signals)
    is_direct = ranking.exploration is None and ranking.session_anchors is None
    is_direct &= ranking.seen.action == "keep"
    return CompiledPlan(plan, mode, missing, ranking, is_direct)


def _build_source(
    name: SignalName, signal: AnySignal, ranking: Ranking, segment: str, weight: float
) -> Source:
    group = WEIGHT_GROUPS[name]
    if isinstance(signal, SessionIndex):
        found_by = ranking.session_knn
        return Source.of_sessions(
            name,
            signal,
            recent_sessions=found_by.recent_sessions,
            neighbors=found_by.neighbors,
            last_items=found_by.last_items,
            weight=weight,
            weight_group=group,
            normalizer=ranking.normalizer,
        )
    return Source(
        name,
        signal,
        key=segment if signal.key_type == "segment" else None,
        weight=weight,
        weight_group=group,
        normalizer=ranking.normalizer,
    )


def _build_ladder(
    catalog: Catalog, popularity: AnySignal | None, ranking: Ranking, segment: str
) -> list[Rung]:
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
        if not isinstance(popularity, Signal) or key in stood or popularity.ranked(catalog, key, 1) is None:
            continue
        stood.add(key)
        rungs.append(Rung.of_signal(name, popularity, key))
    return rungs
