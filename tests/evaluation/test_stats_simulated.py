"""What must hold on average: coverage, error rates, variance reduction."""

import numpy as np
import pytest

from recsys.contracts.errors import EvaluationError
from recsys.evaluation.stats.bootstrap import bootstrap_difference, bootstrap_ratio
from recsys.evaluation.stats.cuped import cuped
from recsys.evaluation.stats.delta_method import ratio
from recsys.evaluation.stats.noninferiority import non_inferiority
from recsys.evaluation.stats.sequential import (
    always_valid_p_value,
    confidence_sequence,
    half_width,
    mixture_variance,
)
from recsys.evaluation.stats.winsorise import winsorise


def test_sequential_error_holds_under_a_look_after_every_user():
    rng = np.random.default_rng(11)
    runs, users, first = 1000, 4000, 200
    gaps = (rng.exponential(1.0, (runs, users)) - rng.exponential(1.0, (runs, users))).cumsum(axis=1)
    squares = 2.0  # the true variance of a pair's gap
    n = np.arange(1, users + 1)
    means, variances = gaps / n, squares / n
    tau2 = mixture_variance(variances[first - 1], 0.95)
    halves = np.array([half_width(v, tau2, 0.95) for v in variances])
    crossed = (np.abs(means[:, first:]) > halves[first:]).any(axis=1).mean()
    fixed = (np.abs(means[:, first:]) > 1.96 * np.sqrt(variances[first:])).any(axis=1).mean()
    assert crossed <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / runs)
    assert fixed > 0.2  # the same peeking breaks the fixed-horizon interval


def test_sequential_error_holds_for_daily_looks_at_a_ratio_of_returning_users():
    rng = np.random.default_rng(12)
    runs, users, days = 400, 400, 14
    crossed = 0
    for _ in range(runs):
        taste = rng.beta(1, 9, (2, users))
        arrival = rng.integers(0, days, (2, users))
        y, d = np.zeros((2, users)), np.zeros((2, users))
        values, variances = [], []
        for day in range(days):
            requests = rng.poisson(2, (2, users)) * (arrival <= day)
            d += requests
            y += rng.binomial(requests, taste)
            seen = d > 0
            arms = [ratio(y[a][seen[a]], d[a][seen[a]]) for a in (0, 1)]
            values.append(arms[1].value - arms[0].value)
            variances.append(arms[0].variance + arms[1].variance)
        looks = confidence_sequence(
            values, variances, tau_squared=mixture_variance(variances[0], 0.95), level=0.95
        )
        crossed += any(look.low > 0 or look.high < 0 for look in looks)
    assert crossed / runs <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / runs)


def test_sequential_interval_and_p_value_agree_at_the_border():
    half = half_width(0.3, 0.7, 0.95)
    assert always_valid_p_value(half, 0.3, 0.7) == pytest.approx(0.05)
    assert half > 1.96 * np.sqrt(0.3)


def test_sequential_p_value_never_rises():
    looks = confidence_sequence([0.5, 0.1, 0.3], [0.02, 0.01, 0.005], tau_squared=0.1, level=0.95)
    p = [look.p_value for look in looks]
    assert p == sorted(p, reverse=True)


def test_cuped_is_unbiased_covers_and_removes_the_share_that_correlation_explains():
    rng = np.random.default_rng(13)
    estimates, hits, reductions = [], 0, []
    for _ in range(1000):
        x = rng.normal(0, 1, (2, 200))
        y = 0.8 * x + rng.normal(0, 0.6, (2, 200)) + np.array([[0.0], [0.3]])
        got = cuped(y[0], x[0], y[1], x[1], 0.95)
        estimates.append(got.difference.value)
        reductions.append(got.variance_reduction)
        hits += got.difference.low <= 0.3 <= got.difference.high
    assert np.mean(estimates) == pytest.approx(0.3, abs=4 * np.std(estimates) / np.sqrt(1000))
    assert np.mean(reductions) == pytest.approx(0.64, abs=0.02)
    assert 0.93 <= hits / 1000 <= 0.97


def test_cuped_with_a_constant_covariate_changes_nothing():
    y = np.random.default_rng(1).normal(size=(2, 30))
    got = cuped(y[0], np.ones(30), y[1], np.ones(30), 0.95)
    assert got.theta == 0.0
    assert got.difference.value == pytest.approx(y[1].mean() - y[0].mean())


def test_bootstrap_agrees_with_the_delta_method_and_is_reproducible():
    rng = np.random.default_rng(14)
    d = rng.poisson(5, 800) + 1.0
    y = rng.binomial(d.astype(int), 0.2).astype(float)
    draws = bootstrap_ratio(y, d, replicates=3000, seed=5)
    assert draws.std() == pytest.approx(ratio(y, d).standard_error, rel=0.06)
    order = rng.permutation(800)
    assert np.array_equal(draws, bootstrap_ratio(y[order], d[order], replicates=3000, seed=5))
    same = bootstrap_difference((y, d), (y, d), level=0.95, seed=2)
    assert same.low < 0 < same.high
    assert same.p_value > 0.5


@pytest.mark.parametrize(
    ("increase", "error", "verdict"), [(0.0, 0.1, "holds"), (0.9, 0.1, "inconclusive"), (2.0, 0.1, "broken")]
)
def test_guardrail_passes_only_when_the_upper_bound_is_under_the_margin(increase, error, verdict):
    assert non_inferiority(increase, error, 1.0).verdict == verdict


def test_margin_of_zero_is_refused():
    with pytest.raises(EvaluationError, match="margin"):
        non_inferiority(0.0, 0.1, 0.0)


def test_winsorising_uses_one_cap_for_both_arms():
    arms, cap = winsorise([np.arange(100.0), np.array([1e9] * 2)], 0.95)
    assert max(arm.max() for arm in arms) == cap.value
    assert cap.value < 1e9
    assert cap.users_capped == int((np.arange(100.0) > cap.value).sum()) + 2
