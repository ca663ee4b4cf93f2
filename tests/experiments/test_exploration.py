"""Exploration: propensities are those of the draws, whatever is fixed; the same seed gives the same list."""

from __future__ import annotations

import math
from collections import Counter
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from recsys.contracts.config import Exploration
from recsys.contracts.documents import InvalidDocument
from recsys.experiments.exploration import draw_list, list_propensities, pool_size
from recsys.experiments.randomness import draw_uniforms, request_seed

SCORES = [1.3, 1.0, 0.9, 0.4, 0.1]
POLICIES = {
    "plackett_luce": Exploration(method="plackett_luce", temperature=0.5),
    "by_rank": Exploration(method="plackett_luce", temperature=2.0, by="rank"),
    "with_prefix": Exploration(method="plackett_luce", temperature=0.5, fixed_prefix=1),
    "swaps": Exploration(method="epsilon_swaps", epsilon=0.4),
    "swaps_below_prefix": Exploration(method="epsilon_swaps", epsilon=0.4, fixed_prefix=2),
}

explorations = st.builds(
    Exploration,
    method=st.sampled_from(["plackett_luce", "epsilon_swaps"]),
    temperature=st.floats(1e-3, 1e3),
    by=st.sampled_from(["score", "rank"]),
    epsilon=st.floats(0, 1),
    fixed_prefix=st.integers(0, 8),
)
rankings = st.lists(st.floats(-5, 5), min_size=1, max_size=12).map(lambda s: sorted(s, reverse=True))


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
@pytest.mark.parametrize("pinned", [(), (2,)], ids=["free", "pinned"])
def test_lists_are_drawn_as_often_as_their_propensities_say(
    policy: Exploration, pinned: tuple[int, ...]
) -> None:
    n_draws, k = 20_000, 3
    counts: Counter[tuple[int, ...]] = Counter()
    for number in range(n_draws):
        counts[tuple(draw_list(policy, SCORES, k, request_seed(f"r{number}", None), pinned).places)] += 1
    chances = {
        shown: math.prod(list_propensities(policy, SCORES, shown, pinned))
        for shown in permutations(range(5), k)
    }
    assert math.fsum(chances.values()) == pytest.approx(1.0, abs=1e-12)
    possible = [shown for shown, chance in chances.items() if chance > 0]
    assert set(counts) <= set(possible)
    if len(possible) > 1:
        expected = [chances[shown] * n_draws for shown in possible]
        assert stats.chisquare([counts[shown] for shown in possible], expected).pvalue > 1e-4


@given(explorations, rankings, st.integers(1, 12), st.integers(), st.sets(st.integers(0, 11), max_size=3))
def test_a_drawn_list_has_the_propensities_that_the_policy_gives_it(
    exploration: Exploration, scores: list[float], k: int, seed: int, pinned: set[int]
) -> None:
    drawn = draw_list(exploration, scores, k, request_seed("", seed), pinned)
    assert len(drawn.places) == len(drawn.propensities) == min(k, len(scores))
    assert len(set(drawn.places)) == len(drawn.places)
    assert all(0.0 < chance <= 1.0 for chance in drawn.propensities)
    given_back = list_propensities(exploration, scores, drawn.places, pinned)
    assert given_back == pytest.approx(drawn.propensities, rel=1e-9)
    for place, source in enumerate(drawn.places):
        if place in pinned or place < exploration.fixed_prefix:
            assert (source, drawn.propensities[place]) == (place, 1.0)


@given(explorations, rankings, st.integers(1, 12), st.integers())
def test_the_same_seed_gives_the_same_list(
    exploration: Exploration, scores: list[float], k: int, seed: int
) -> None:
    assert draw_list(exploration, scores, k, request_seed("a", seed)) == draw_list(
        exploration, scores, k, request_seed("b", seed)
    )


def test_a_draw_is_known_beforehand() -> None:
    drawn = draw_list(POLICIES["plackett_luce"], SCORES, 5, request_seed("request-1", None))
    assert drawn.places == [0, 2, 1, 4, 3]


def test_a_larger_pool_brings_items_from_below_the_list() -> None:
    policy = Exploration(method="plackett_luce", temperature=10.0, pool=5)
    assert pool_size(policy, 2) == 5
    seen = {
        place for n in range(200) for place in draw_list(policy, SCORES, 2, request_seed(f"{n}", None)).places
    }
    assert seen == {0, 1, 2, 3, 4}


def test_an_item_that_the_policy_does_not_know_ends_what_it_could_have_shown() -> None:
    chances = list_propensities(POLICIES["plackett_luce"], SCORES, [0, None, 1])
    assert chances[0] > 0
    assert chances[1:] == [0.0, 0.0]


def test_extreme_scores_give_sound_propensities() -> None:
    policy = Exploration(method="plackett_luce", temperature=1e-6)
    drawn = draw_list(policy, [1e9, 1.0, 0.0, -1e9], 4, request_seed("r", None))
    assert drawn.places == [0, 1, 2, 3]
    assert drawn.propensities == [1.0] * 4


def test_uniforms_are_uniform_and_purposes_have_their_own() -> None:
    first, second = (draw_uniforms(b"seed", purpose, 20_000) for purpose in (b"x", b"y"))
    assert stats.kstest(first, "uniform").pvalue > 1e-4
    assert abs(stats.pearsonr(first, second).statistic) < 0.03


@pytest.mark.parametrize("temperature", [1e-9, math.inf])
def test_a_temperature_that_cannot_be_used_is_named(temperature: float) -> None:
    from recsys.contracts.config import check_exploration

    with pytest.raises(InvalidDocument, match=r"at\.temperature"):
        check_exploration(Exploration(method="plackett_luce", temperature=temperature), "at")
