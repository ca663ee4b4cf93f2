"""Team draft: fair, complete, and the same as the builder that evaluation has."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from recsys.evaluation.interleaving import team_draft
from recsys.experiments.randomness import draw_uniforms
from recsys.experiments.team_draft import draft_teams

lists = st.permutations("abcdefgh").flatmap(lambda p: st.integers(0, 8).map(lambda n: p[:n]))


class Coins:
    """Gives evaluation's builder the coins of ours, one whenever both teams are level."""

    def __init__(self, seed: bytes, k: int) -> None:
        self._coins = draw_uniforms(seed, b"team_draft", (k + 1) // 2 + 1)
        self._calls = 0

    def random(self) -> float:
        self._calls += 1
        return self._coins[(self._calls - 1) // 2]


@given(lists, lists, st.integers(1, 10), st.binary(max_size=4))
def test_the_list_is_that_of_the_builder_in_evaluation(
    a: list[str], b: list[str], k: int, seed: bytes
) -> None:
    picks = draft_teams(a, b, k, seed)
    ours = [((a if pick.team == "a" else b)[pick.place], pick.team) for pick in picks]
    theirs = team_draft(a, b, k, Coins(seed, k))
    assert ours == [(placed.item_id, placed.team) for placed in theirs]
    teams = Counter(team for _, team in ours)
    assert abs(teams["a"] - teams["b"]) <= 1
    assert len({item for item, _ in ours}) == len(ours)


def test_either_team_is_first_as_often() -> None:
    first = Counter(draft_teams("abc", "xyz", 3, b"%d" % n)[0].team for n in range(5000))
    assert stats.binomtest(first["a"], 5000).pvalue > 1e-4
