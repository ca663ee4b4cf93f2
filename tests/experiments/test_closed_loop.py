"""The loop through the real service: visitors get arms, click, and evaluation finds what is true."""

from __future__ import annotations

from pathlib import Path

import pytest
from scipy import stats
from tests.experiments.loop import (
    N_SPLITS,
    count_false_positives,
    estimate_new_mode,
    known_effect,
    stop_broken_arm,
    users_of,
)
from tests.experiments.shop import K, Shop, build_shop, open_shop

from recsys.evaluation.run_interleaving import run_interleaving

N_VISITS = 2
USERS = users_of(1200)


@pytest.fixture
def shop(tmp_path: Path):
    build_shop(tmp_path)
    with open_shop(tmp_path, workers=2) as opened:
        yield opened


@pytest.mark.slow
def test_a_known_effect_lies_in_the_interval_and_equal_arms_differ_as_often_as_they_may(shop: Shop) -> None:
    effect = known_effect(shop, USERS, N_VISITS)
    assert effect.interval.holds
    assert effect.interval.low > 0
    assert not effect.is_mismatch
    assert effect.join_rate == 1.0
    n_found = count_false_positives(shop)
    assert stats.binomtest(n_found, N_SPLITS, 0.05).pvalue > 1e-3


@pytest.mark.slow
def test_an_arm_with_empty_lists_is_stopped_by_its_guardrail_and_rolled_back(shop: Shop) -> None:
    done = stop_broken_arm(shop, USERS)
    assert done.exit_code == 3
    assert "empty_list_rate of broken" in done.told
    assert done.n_empty > 0
    assert all(len(shop.ask(user, 10_000).items) == K for user in USERS[:50])


@pytest.mark.slow
def test_interleaving_prefers_the_better_ranking(shop: Shop) -> None:
    arms = [{"name": "control"}, {"name": "related", "mode": "cooc"}]
    shop.start(arms, kind="interleaving")
    for user in USERS[:600]:
        shop.visit(user, 0)
    shop.send()
    _, payload = run_interleaving({role: shop.logs[role] for role in ("exposures", "outcomes")})
    assert payload.preference.low > 0.5


@pytest.mark.slow
def test_the_value_of_a_new_mode_is_estimated_from_the_logs_of_another(tmp_path: Path) -> None:
    done = estimate_new_mode(tmp_path, USERS, N_VISITS)
    for name in ("standard_ips", "reward_interaction_ips"):
        assert done.estimates[name].holds, name
    # The logging policy is worse, and the estimate with less variance tells the two apart at 95 %.
    narrow = done.estimates["reward_interaction_ips"]
    assert narrow.value - 1.96 * done.errors["reward_interaction_ips"] > done.served
