"""Two rankings drafted into one list, which keeps every limit that each of them keeps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import TypeAlias

from msgspec import Struct

from recsys._native import Catalog, Item, Ranked
from recsys.contracts.config import Ranking
from recsys.experiments.team_draft import Team, draft_teams
from recsys.service.composed_lists import ComposedList, pinned_places

Deepen: TypeAlias = Callable[[int], tuple[Ranked, Ranked]]
"""Returns both rankings to a depth."""


class TeamSettings(Struct, frozen=True):
    """What one team ranks with: its picks keep its own caps."""

    catalog: Catalog
    ranking: Ranking
    has_pins: bool


class ListLimits:
    """Counts the tags, brands and categories of one list as it grows."""

    def __init__(self, max_per_tag: Mapping[str, int]) -> None:
        self._max_per_tag = max_per_tag
        self._counts: Counter[tuple[str, str]] = Counter()

    def admit(self, item: Item, ranking: Ranking, *, is_pinned: bool) -> bool:
        """Whether the list may have one more item like this; if so, it is counted. A pin is under no cap."""
        tags = [("tag", tag) for tag in item.tags if tag in self._max_per_tag]
        if any(self._counts[tag] >= self._max_per_tag[tag[1]] for tag in tags):
            return False
        labels = (("brand", item.brand, ranking.brand_cap), ("category", item.category, ranking.category_cap))
        capped = [((name, label), cap) for name, label, cap in labels if label is not None]
        if not is_pinned and any(cap is not None and self._counts[label] >= cap for label, cap in capped):
            return False
        self._counts.update(tags)
        self._counts.update(label for label, _ in capped)
        return True


def interleave(
    deepen: Deepen,
    k: int,
    seed: bytes,
    teams: tuple[TeamSettings, TeamSettings],
    max_per_tag: Mapping[str, int],
) -> tuple[ComposedList, Ranked]:
    """Return a list of ``k`` that two rankings draft, the first as team ``a``, and the ranking of that team.

    An item that would break a limit of the list is passed over for the next of its team; where that leaves
    places free, both rankings go deeper.
    """
    depth = k
    while True:
        rankings = deepen(depth)
        made, passed_over = _draft(rankings, k, seed, teams, max_per_tag)
        if len(made) == k or not passed_over or max(map(len, rankings)) < depth:
            return made, rankings[0]
        depth *= 2


def _draft(
    rankings: tuple[Ranked, Ranked],
    k: int,
    seed: bytes,
    teams: tuple[TeamSettings, TeamSettings],
    max_per_tag: Mapping[str, int],
) -> tuple[ComposedList, bool]:
    """Return the list, and whether an item was passed over."""
    items = (rankings[0].item_ids, rankings[1].item_ids)
    limits, passed_over = ListLimits(max_per_tag), False
    pinned = [
        {listed[place] for place in pinned_places(ranked)} if team.has_pins else set()
        for ranked, listed, team in zip(rankings, items, teams, strict=True)
    ]

    def admits(team: Team, item_id: str) -> bool:
        nonlocal passed_over
        at = 0 if team == "a" else 1
        item = teams[at].catalog.item(item_id)
        is_admitted = item is None or limits.admit(item, teams[at].ranking, is_pinned=item_id in pinned[at])
        passed_over |= not is_admitted
        return is_admitted

    is_limited = bool(max_per_tag) or any(
        team.ranking.brand_cap is not None or team.ranking.category_cap is not None for team in teams
    )
    picks = draft_teams(*items, k, seed, admits if is_limited else None)
    sources = [(rankings[0] if pick.team == "a" else rankings[1], pick.place) for pick in picks]
    return ComposedList(sources, teams=[pick.team for pick in picks]), passed_over
