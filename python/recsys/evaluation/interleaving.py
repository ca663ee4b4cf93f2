"""Two rankers in one list: builders of the lists, credit from what the served list says, and an exact test.

Sources: Radlinski, Kurup and Joachims (2008), "How Does Clickthrough Data Reflect Retrieval Quality?", CIKM
(team draft; balanced, after Joachims 2002); Hofmann, Whiteson and de Rijke (2011), "A Probabilistic Method
for Inferring Preferences from Clicks", CIKM (probabilistic). Credit never looks at the rankers again: each
served item carries the team that put it there, and an item without one earns nobody anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
from msgspec import Struct
from scipy import stats

from recsys.contracts.errors import EvaluationError
from recsys.evaluation.stats.proportions import exact_interval

Team = Literal["a", "b"]


class Placed(Struct, frozen=True):
    """One item of an interleaved list and the ranker that placed it; ``None`` when neither can claim it
    alone.
    """

    item_id: str
    team: Team | None


class Preference(Struct, frozen=True, kw_only=True):
    """Users who preferred either ranker, users who did not choose, and the exact sign test of no preference.

    ``share_b`` is the share of B among the users who chose, with its Clopper-Pearson interval; ``None`` when
    none did.
    """

    prefers_a: int
    prefers_b: int
    ties: int
    share_b: float | None
    low: float
    high: float
    p_value: float
    level: float
    clicks_without_team: int


def team_draft(a: Sequence[str], b: Sequence[str], k: int, generator: np.random.Generator) -> list[Placed]:
    """Return up to ``k`` items: the team with fewer picks is next (a coin when even), and takes its best item
    left.
    """
    lists: dict[Team, Sequence[str]] = {"a": a, "b": b}
    picks: dict[Team, int] = {"a": 0, "b": 0}
    placed: list[Placed] = []
    taken: set[str] = set()
    while len(placed) < k:
        coin: Team = "a" if generator.random() < 0.5 else "b"
        team: Team = coin if picks["a"] == picks["b"] else ("a" if picks["a"] < picks["b"] else "b")
        item = next((item for item in lists[team] if item not in taken), None)
        if item is None:
            break  # going on would credit the other ranker for places that it did not compete for
        placed.append(Placed(item, team))
        taken.add(item)
        picks[team] += 1
    return placed


def balanced(a: Sequence[str], b: Sequence[str], k: int, generator: np.random.Generator) -> list[Placed]:
    """Return up to ``k`` items, the rankers' lists in turn; who starts is one coin for the whole list.

    An item's team is the ranker that places it higher, and none when both place it at the same rank. Known
    bias: when one list is the other shifted by a place, random clicks favour one ranker (Chapelle, Joachims,
    Radlinski and Yue 2012, ACM TOIS 30); team draft does not do this, and is the one to choose.
    """
    a_first = bool(generator.random() < 0.5)
    rank_a = {item: rank for rank, item in enumerate(a)}
    rank_b = {item: rank for rank, item in enumerate(b)}
    placed: dict[str, Placed] = {}
    at_a = at_b = 0
    while len(placed) < k and at_a < len(a) and at_b < len(b):
        if at_a < at_b or (at_a == at_b and a_first):
            item, at_a = a[at_a], at_a + 1
        else:
            item, at_b = b[at_b], at_b + 1
        if item not in placed:
            gap = rank_a.get(item, len(a)) - rank_b.get(item, len(b))
            placed[item] = Placed(item, None if gap == 0 else ("a" if gap < 0 else "b"))
    return list(placed.values())


def probabilistic(
    a: Sequence[str], b: Sequence[str], k: int, generator: np.random.Generator, *, decay: float = 3.0
) -> list[Placed]:
    """Return up to ``k`` items: a coin for each place names the team, which draws with P(item) ~ 1 /
    rank^decay.
    """
    weights = {team: 1.0 / np.arange(1, len(items) + 1) ** decay for team, items in (("a", a), ("b", b))}
    lists: dict[str, Sequence[str]] = {"a": a, "b": b}
    placed: list[Placed] = []
    taken: set[str] = set()
    while len(placed) < k:
        team: Team = "a" if generator.random() < 0.5 else "b"
        left = [index for index, item in enumerate(lists[team]) if item not in taken]
        if not left:
            break
        chances = weights[team][left] / weights[team][left].sum()
        item = lists[team][left[int(generator.choice(len(left), p=chances))]]
        placed.append(Placed(item, team))
        taken.add(item)
    return placed


def prefer(clicks: Iterable[tuple[str, str | None]], level: float = 0.95) -> Preference:
    """Return the preference from clicks given as (user, team of the clicked item as the served list says).

    Clicks are summed by user, because a user's requests are not independent; each user then counts once, for
    the team with more clicks. The test is the exact binomial sign test over users who chose. An unknown team
    is an error.
    """
    balance: dict[str, int] = {}
    without_team = 0
    for user, team in clicks:
        if team is None:
            without_team += 1
            continue
        if team not in ("a", "b"):
            raise EvaluationError(f"team must be 'a', 'b' or missing, not {team!r}")
        balance[user] = balance.get(user, 0) + (1 if team == "b" else -1)
    wins_a = sum(value < 0 for value in balance.values())
    wins_b = sum(value > 0 for value in balance.values())
    ties = len(balance) - wins_a - wins_b
    return preference(wins_a, wins_b, ties, clicks_without_team=without_team, level=level)


def preference(
    wins_a: int, wins_b: int, ties: int, *, clicks_without_team: int, level: float = 0.95
) -> Preference:
    """Return the preference from counts of users: who clicked more on items of A, of B, and equally often."""
    chose = wins_a + wins_b
    low, high = exact_interval(wins_b, chose, level) if chose else (0.0, 1.0)
    return Preference(
        prefers_a=wins_a,
        prefers_b=wins_b,
        ties=ties,
        share_b=wins_b / chose if chose else None,
        low=low,
        high=high,
        p_value=float(stats.binomtest(wins_b, chose).pvalue) if chose else 1.0,
        level=level,
        clicks_without_team=clicks_without_team,
    )
