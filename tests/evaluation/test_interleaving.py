"""Lists built of two rankers, and what clicks on them say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.contracts.errors import EvaluationError
from recsys.evaluation.interleaving import balanced, prefer, probabilistic, team_draft

BUILDERS = [team_draft, balanced, probabilistic]
RANKING = st.permutations([str(i) for i in range(8)]).map(lambda items: items[:6])


@pytest.mark.parametrize("build", BUILDERS)
@given(a=RANKING, b=RANKING, seed=st.integers(0, 999), k=st.integers(1, 5))
def test_lists_hold_each_item_once_and_only_what_a_ranker_offered(build, a, b, seed, k):
    got = build(a, b, k, np.random.default_rng(seed))
    items = [placed.item_id for placed in got]
    assert len(items) == len(set(items)) == k
    assert set(items) <= set(a) | set(b)
    assert all(placed.item_id in {"a": a, "b": b}[placed.team] for placed in got if placed.team)


@pytest.mark.parametrize("build", BUILDERS)
def test_random_clicks_prefer_neither_of_two_mirrored_rankers(build):
    rng = np.random.default_rng(8)
    a, b = list("abcdefgh"), list("hcbagfed")
    small = 0
    for _ in range(100):
        clicks = []
        for user in range(40):
            got = build(a, b, 4, rng)
            clicks.append((str(user), got[int(rng.integers(len(got)))].team))
        small += prefer(clicks).p_value < 0.05
    assert small / 100 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 100)


@pytest.mark.parametrize("build", BUILDERS)
def test_clicks_on_what_b_ranks_first_prefer_b(build):
    rng = np.random.default_rng(9)
    clicks = []
    for user in range(200):
        got = build(list("abcdef"), list("fabcde"), 3, rng)
        clicks += [(str(user), placed.team) for placed in got if placed.item_id == "f"]
    got = prefer(clicks)
    assert got.low > 0.5
    assert got.p_value < 0.001


def test_each_user_counts_once_and_clicks_without_a_team_earn_nothing():
    got = prefer([("u", "a")] * 50 + [("v", "b"), ("w", "b"), ("w", "a"), ("x", None)])
    assert (got.prefers_a, got.prefers_b, got.ties, got.clicks_without_team) == (1, 1, 1, 1)
    assert prefer([]).share_b is None
    with pytest.raises(EvaluationError, match="'c'"):
        prefer([("u", "c")])
