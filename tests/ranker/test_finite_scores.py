"""However large scores, weights and boosts are: what is ranked, explained and encoded are numbers."""

import json
import math
import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.ranker.test_against_reference import World, assert_same, rank_natively

from recsys import _native
from recsys.contracts.errors import BuildError
from recsys.contracts.http import MAX_WEIGHT
from recsys.contracts.rules import MAX_BOOST
from recsys.ranking.reference import MAX_SCORE


class ExtremeWorld(World):
    """Everything at the ends of what is allowed."""

    scores = (MAX_SCORE, MAX_SCORE, 1e38, 1.0, 5e-324, 0.0, -5e-324, -1.0, -MAX_SCORE)
    weights = (0.0, 1.0, MAX_WEIGHT, MAX_WEIGHT)
    multipliers = (1e6 + 1, 1e6 + 1, 1e6 + 1, 3.0, 1e-9, 0.0)
    most_boosts = 150


def refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no JSON")


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32), n_items=st.sampled_from([1, 12, 40, 900]))
def test_extreme_worlds_rank_as_in_the_reference_and_give_numbers_alone(seed: int, n_items: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = ExtremeWorld(random.Random(seed), Path(folder), n_items)
        for _ in range(3):
            native, plan = world.plans()
            request = world.request()
            assert_same(native, plan, request)
            ranked = rank_natively(native, request, explain=True)
            numbers = list(ranked.scores)
            for parts, boosts, step in zip(
                ranked.contributions, ranked.boosts, ranked.mmr_steps, strict=True
            ):
                numbers += [number for _, *values in parts for number in values]
                numbers += [multiplier for _, multiplier in boosts]
                numbers += [] if step is None else list(step)
            assert all(map(math.isfinite, numbers))
            encoded = ranked.encode_items(b"", b"")
            assert [one["score"] for one in json.loads(encoded, parse_constant=refuse)] == ranked.scores


@pytest.mark.parametrize("score", [1.1e100, -1.1e100, math.inf, math.nan])
def test_a_score_that_sums_could_take_beyond_a_number_is_not_packed(tmp_path: Path, score: float) -> None:
    world = World(random.Random(1), tmp_path, 3)
    packer = _native.SignalPacker(world.catalog, kind="popularity", key_type="segment")
    with pytest.raises(BuildError, match=r"key `default`, item `i0`: score .* is not a number within 1e100"):
        packer.push("default", ["i0"], [score])


def test_a_boost_has_an_end(tmp_path: Path) -> None:
    world = World(random.Random(1), tmp_path, 3)
    packer = _native.SignalPacker(world.catalog, kind="implicit", key_type="user")
    packer.push("u", ["i0"], [2.0])
    packer.finish(str(tmp_path / "two"))
    signal = _native.Signal.open(str(tmp_path / "two"))
    source = _native.Source("implicit", signal, weight=1.0, weight_group="emb", normalizer="none")

    def score(*multipliers: float) -> float:
        boosts = [(f"b{n}", ["i0"], multiplier) for n, multiplier in enumerate(multipliers)]
        plan = _native.Plan(world.catalog, [source], rules=_native.RuleSet(world.catalog, boosts=boosts))
        return plan.rank(1, 0, user="u").scores[0]

    assert score(*[1e6] * 14) == 2.0 * math.prod([1e6] * 14)
    assert score(*[1e6] * 16) == score(*[1e6] * 1000) == 2.0 * MAX_BOOST
    assert score(*[1e6] * 16, 0.5) == MAX_BOOST
    assert score(*[1e6] * 16, 0.0) == 0.0
