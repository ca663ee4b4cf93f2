"""Two rankings in one list, each item credited to the ranking that put it there.

Team draft (Radlinski, Kurup and Joachims 2008, "How Does Clickthrough Data Reflect Retrieval Quality?",
CIKM): the team with fewer items is next, a coin when both have as many, and takes its best item that is left.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from msgspec import Struct

from recsys.experiments.randomness import draw_uniforms

Team = Literal["a", "b"]


class Pick(Struct, frozen=True):
    """One item of the list: the team whose pick it is, and its place in the ranking of that team."""

    team: Team
    place: int


def draft_teams(
    a: Sequence[str],
    b: Sequence[str],
    k: int,
    seed: bytes,
    admits: Callable[[Team, str], bool] | None = None,
) -> list[Pick]:
    """Return up to ``k`` picks of two rankings of item ids; the same seed gives the same list.

    ``admits`` is asked before an item is taken, and one that it refuses is passed over by that team. The list
    ends when the team whose turn it is has nothing left: going on would credit the other one for places
    that it did not compete for.
    """
    coins = draw_uniforms(seed, b"team_draft", (k + 1) // 2 + 1)
    rankings: dict[Team, Sequence[str]] = {"a": a, "b": b}
    at: dict[Team, int] = {"a": 0, "b": 0}
    first: Team = "a"
    taken: set[str] = set()
    picks: list[Pick] = []
    while len(picks) < k:
        # Both teams are level before each even pick, and then a coin says who is first.
        if len(picks) % 2 == 0:
            first = "a" if coins[len(picks) // 2] < 0.5 else "b"
            team = first
        else:
            team = "b" if first == "a" else "a"
        ranking, place = rankings[team], at[team]
        while place < len(ranking) and (
            ranking[place] in taken or (admits is not None and not admits(team, ranking[place]))
        ):
            place += 1
        if place == len(ranking):
            break
        picks.append(Pick(team, place))
        taken.add(ranking[place])
        at[team] = place + 1
    return picks
