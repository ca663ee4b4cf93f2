"""Tests and intervals against scipy and statsmodels."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import NormalIndPower
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint, proportions_ztest
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from recsys.contracts.errors import EvaluationError
from recsys.evaluation.stats.delta_method import difference, linearise, mean_of, ratio, relative_difference
from recsys.evaluation.stats.multiple import benjamini_hochberg, holm
from recsys.evaluation.stats.power import minimum_detectable_effect, power, users_per_arm
from recsys.evaluation.stats.proportions import exact_interval, two_proportions, wilson_interval
from recsys.evaluation.stats.quantile_ci import quantile_interval
from recsys.evaluation.stats.srm import sample_ratio
from recsys.evaluation.stats.uniformity import kolmogorov_uniform
from recsys.evaluation.stats.welch import welch


@pytest.mark.parametrize("seed", range(5))
def test_welch_agrees_with_scipy(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(1, 1, 40), rng.exponential(1.3, 25)
    ours = welch(mean_of(a), mean_of(b), 0.9)
    theirs = stats.ttest_ind(b, a, equal_var=False)
    interval = CompareMeans(DescrStatsW(b), DescrStatsW(a)).tconfint_diff(alpha=0.1, usevar="unequal")
    assert ours.p_value == pytest.approx(theirs.pvalue, rel=1e-9)
    assert (ours.low, ours.high) == pytest.approx(interval, rel=1e-9)


@pytest.mark.parametrize(("a", "n", "b", "m"), [(30, 200, 45, 210), (0, 50, 3, 60), (5, 5, 4, 6)])
def test_proportions_agree_with_statsmodels(a, n, b, m):
    ours = two_proportions(a, n, b, m, 0.95)
    low, high = confint_proportions_2indep(b, m, a, n, method="newcomb", compare="diff")
    assert (ours.low, ours.high) == pytest.approx((low, high), abs=1e-12)
    assert ours.p_value == pytest.approx(proportions_ztest([b, a], [m, n])[1], rel=1e-9)
    assert wilson_interval(a, n, 0.95) == pytest.approx(proportion_confint(a, n, method="wilson"), abs=1e-12)
    assert exact_interval(a, n, 0.95) == pytest.approx(proportion_confint(a, n, method="beta"), abs=1e-12)


def test_adjusted_p_values_agree_with_statsmodels():
    p = np.random.default_rng(1).random(40) ** 3
    p[3] = p[4]
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])
    assert benjamini_hochberg(p) == pytest.approx(multipletests(p, method="fdr_bh")[1])


def test_power_agrees_with_statsmodels_and_inverts():
    theirs = NormalIndPower().power(0.2, 150, 0.05)
    assert power(0.2, np.sqrt(2 / 150)) == pytest.approx(theirs)
    needed = users_per_arm(0.2, 1.0)
    assert minimum_detectable_effect(np.sqrt(2 / needed)) == pytest.approx(0.2, rel=0.01)
    assert power(0.0, 1.0) == pytest.approx(0.05)


def test_delta_method_of_a_ratio_matches_the_textbook_three_terms_and_the_linearised_mean():
    rng = np.random.default_rng(3)
    d = rng.integers(1, 9, 500).astype(float)
    y = rng.binomial(d.astype(int), 0.3).astype(float)
    got = ratio(y, d)
    cov = np.cov(y, d)
    r = y.mean() / d.mean()
    textbook = (cov[0, 0] - 2 * r * cov[0, 1] + r * r * cov[1, 1]) / (500 * d.mean() ** 2)
    assert got.value == pytest.approx(r)
    assert got.variance == pytest.approx(textbook)
    assert mean_of(linearise(y, d, r, d.mean())).variance == pytest.approx(textbook)


def test_relative_difference_covers_the_truth_when_requests_of_a_user_are_correlated():
    rng = np.random.default_rng(4)
    hits = 0
    for _ in range(1000):
        d = rng.poisson(4, (2, 600)) + 1.0
        taste = rng.beta(2, 6, (2, 600)) * np.array([[0.8], [0.88]])
        y = rng.binomial(d.astype(int), taste).astype(float)
        got = relative_difference(ratio(y[0], d[0]), ratio(y[1], d[1]), 0.95)
        hits += got.low <= 0.1 <= got.high
    assert 0.93 <= hits / 1000 <= 0.97


def test_sample_ratio_agrees_with_scipy_and_sees_an_empty_arm():
    got = sample_ratio({"a": 510, "b": 490}, {"a": 1, "b": 1})
    assert got.p_value == pytest.approx(stats.chisquare([510, 490]).pvalue)
    assert not got.is_mismatch
    empty = sample_ratio({"a": 1000}, {"a": 1, "b": 1})
    assert empty.observed == {"a": 1000, "b": 0}
    assert empty.is_mismatch
    assert sample_ratio({"a": 500, "b": 500, "x": 1}, {"a": 1, "b": 1}).undeclared == {"x": 1}


def test_uniformity_agrees_with_scipy():
    p = np.random.default_rng(2).random(60)
    theirs = stats.kstest(p, "uniform")
    assert kolmogorov_uniform(p) == pytest.approx((theirs.statistic, theirs.pvalue))


def test_quantile_interval_covers_the_true_p95_of_clustered_requests():
    rng = np.random.default_rng(5)
    users = np.repeat(np.arange(300), 5)
    pool = np.exp(rng.normal(0, 0.5, 2_000_000) + rng.normal(0, 0.5, 2_000_000))
    truth = np.quantile(pool, 0.95)
    hits = 0
    for _ in range(600):
        values = np.exp(rng.normal(0, 0.5, 300)[users] + rng.normal(0, 0.5, users.size))
        got = quantile_interval(values, users, 0.95)
        hits += got.low <= truth <= got.high
    assert 0.92 <= hits / 600 <= 0.98


def test_values_that_are_not_numbers_are_named():
    with pytest.raises(EvaluationError, match="numerators: 1 of 3"):
        ratio(np.array([1.0, np.nan, 2.0]), np.ones(3))
    with pytest.raises(EvaluationError, match="too few"):
        quantile_interval(np.arange(5.0), np.arange(5), 0.95)
    with pytest.raises(EvaluationError, match=r"largest value, 1\.5"):
        quantile_interval(np.full(5000, 1.5), np.arange(5000) % 900, 0.95)


def test_a_difference_without_noise_is_certain():
    a, b = mean_of(np.ones(5)), mean_of(np.full(5, 2.0))
    assert difference(a, a, 0.95).p_value == 1.0
    assert difference(a, b, 0.95).p_value == 0.0
    assert welch(a, b, 0.95).p_value == 0.0
