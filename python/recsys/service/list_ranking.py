"""From a query to its list: one native call, or one for each team, and what exploration makes of it."""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from recsys._native import Ranked
from recsys.contracts.config import ExplorationTarget, SessionAnchors
from recsys.contracts.http import MAX_ANCHORS, MAX_K, RecommendRequest
from recsys.eventlog.recent import RecentEvents, user_key
from recsys.eventlog.seen import SeenItems
from recsys.experiments.exploration import pool_size
from recsys.experiments.randomness import request_seed
from recsys.ranking.plans import CompiledPlan
from recsys.service.arms import Ranker
from recsys.service.composed_lists import ComposedList, ServedList, explore
from recsys.service.interleaved_lists import TeamSettings, interleave
from recsys.service.pages import MAX_PAGED_ITEMS, Page, microseconds, seal_page
from recsys.service.queries import Query


class RankedList(Struct, frozen=True):
    """What is served, and the ranking and plan (of two, the first) that warnings and counts tell of.

    ``is_remembered`` says that a policy of what ranked it asks what users were shown.
    """

    served: ServedList
    ranked: Ranked
    plan: CompiledPlan
    is_remembered: bool
    next_page: str | None = None


def rank_list(
    query: Query,
    request_id: str,
    recent: RecentEvents | None = None,
    seen: SeenItems | None = None,
    shown: Sequence[str] = (),
) -> RankedList:
    """Return the list of a query; ``shown`` are items that it may not have.

    ``recent`` and ``seen`` are asked only where the settings use them. The same request id, or
    ``options.seed``, draws the same. Raises ``ArtifactError`` or ``ServingError`` when it cannot be ranked.
    """
    first, *others = query.treatment.rankers
    plan = _plan(query, first)
    is_remembered = plan.ranking.seen.action != "keep"
    exclude = (
        [*query.request.candidates.exclude_ids, *shown] if shown else query.request.candidates.exclude_ids
    )
    anchors = query.anchors
    if query.page is not None and query.page.anchors is not None:
        anchors = query.page.anchors
    elif plan.ranking.session_anchors is not None and recent is not None:
        anchors = _with_session(query, plan.ranking.session_anchors, recent)
    exploration = None if others else first.exploration or plan.ranking.exploration
    depth = query.k if exploration is None else pool_size(exploration, query.k)
    ranked = _rank(query, first, plan, depth, anchors, exclude, seen)
    if not others and exploration is None:
        if query.page is None:
            return RankedList(ranked, ranked, plan, is_remembered)
        served = _without_expired(query, ranked)
        more = _next_page(query, query.page, first, plan, ranked, anchors, exclude, seen)
        return RankedList(served, ranked, plan, is_remembered, more)
    seed = request_seed(request_id, query.request.options.seed)
    if exploration is not None:
        has_pins = first.snapshot.has_pins
        target = None
        if exploration.target is not None:
            other = _target_of(first, exploration.target)
            target = _rank(query, other, _plan(query, other), depth, anchors, exclude, seen)
        drawn = explore(ranked, exploration, query.k, seed, has_pins=has_pins, target=target)
        return RankedList(drawn, ranked, plan, is_remembered)
    second, rival = others[0], _plan(query, others[0])
    is_remembered |= rival.ranking.seen.action != "keep"

    def deepen(depth: int) -> tuple[Ranked, Ranked]:
        mine = ranked if depth == query.k else _rank(query, first, plan, depth, anchors, exclude, seen)
        return mine, _rank(query, second, rival, depth, anchors, exclude, seen)

    teams = _team(first, plan), _team(second, rival)
    drafted, ranked_by_first = interleave(deepen, query.k, seed, teams, query.request.constraints.max_per_tag)
    return RankedList(drafted, ranked_by_first, plan, is_remembered)


def _target_of(ranker: Ranker, target: ExplorationTarget) -> Ranker:
    weights = target.weights
    return Ranker(
        ranker.snapshot,
        target.mode or ranker.mode,
        ranker.weights if weights is None else (weights.pop, weights.cooc, weights.emb),
    )


def _plan(query: Query, ranker: Ranker) -> CompiledPlan:
    return ranker.snapshot.plan(query.segment, query.now, ranker.mode)


def _team(ranker: Ranker, plan: CompiledPlan) -> TeamSettings:
    return TeamSettings(ranker.snapshot.catalog, plan.ranking, ranker.snapshot.has_pins)


def _rank(
    query: Query,
    ranker: Ranker,
    plan: CompiledPlan,
    depth: int,
    anchors: Sequence[str],
    exclude: Sequence[str],
    seen: SeenItems | None,
    offset: int | None = None,
) -> Ranked:
    """Return ``depth`` items after ``offset``, that of the query's page if it is not given."""
    body, policy = query.request, plan.ranking.seen
    seen_ids: Sequence[str] = ()
    if policy.action != "keep" and seen is not None and isinstance(body, RecommendRequest):
        snapshot = ranker.snapshot
        # What the pages themselves show, at the clock of the first, must not change their list.
        seen_ids = seen.find(
            snapshot.tenant,
            query.user,
            snapshot.surface,
            policy,
            microseconds(query.now) - (query.page is not None),
        )
    caps = body.constraints.max_per_tag
    return plan.plan.rank(
        depth,
        int(query.now.timestamp() * 1000),
        anchors=anchors,
        user=query.user,
        include=body.candidates.include_ids or None,
        exclude=exclude,
        required_tags=body.constraints.required_tags,
        forbidden_tags=body.constraints.forbidden_tags,
        # A cap above the longest list is no cap, and fits the native integer.
        max_per_tag={tag: min(cap, MAX_K) for tag, cap in caps.items()} if caps else None,
        weights=ranker.weights,
        offset=query.first_rank - 1 if offset is None else offset,
        seen=seen_ids,
        damping=policy.damping if policy.action == "damp" else None,
        explain=body.options.explain != "none" or body.options.include_trace,
    )


def _with_session(query: Query, settings: SessionAnchors, recent: RecentEvents) -> list[str]:
    """Return the anchors of the request, then those of the user's latest outcomes."""
    if not isinstance(query.request, RecommendRequest):
        return query.anchors
    key = user_key(query.snapshot.tenant, query.user)
    touched = recent.touched(key, settings.max_items, settings.ttl_minutes * 60)
    return list(dict.fromkeys([*query.anchors, *touched]))[:MAX_ANCHORS]


def _next_page(
    query: Query,
    page: Page,
    ranker: Ranker,
    plan: CompiledPlan,
    ranked: Ranked,
    anchors: Sequence[str],
    exclude: Sequence[str],
    seen: SeenItems | None,
) -> str | None:
    """Return the token of the page after this one, if the list goes on."""
    offset = page.offset + query.k
    if len(ranked) < query.k or offset >= MAX_PAGED_ITEMS:
        return None
    if not len(_rank(query, ranker, plan, 1, anchors, exclude, seen, offset)):
        return None
    kept = None if plan.ranking.session_anchors is None else list(anchors)
    return seal_page(msgspec.structs.replace(page, offset=offset, anchors=kept), query.salt)


def _without_expired(query: Query, ranked: Ranked) -> ServedList:
    """Return a page without what has expired since the clock of the first one; a caller's clock stands."""
    if query.request.context.now is not None or query.first_rank == 1:
        return ranked
    now_ms, catalog = time.time() * 1000, query.snapshot.catalog
    items = map(catalog.item, ranked.item_ids)
    valid = [
        place
        for place, item in enumerate(items)
        if item is None or item.valid_until_ms is None or item.valid_until_ms > now_ms
    ]
    return ranked if len(valid) == len(ranked) else ComposedList([(ranked, place) for place in valid])
