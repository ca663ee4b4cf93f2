"""Off-policy estimators on synthetic logs whose truth is known in closed form."""

import numpy as np
import pyarrow as pa
import pytest

from recsys.contracts.errors import EvaluationError
from recsys.evaluation.ope.cascade_dr import cascade_dr
from recsys.evaluation.ope.clipping import clip
from recsys.evaluation.ope.diagnostics import diagnose
from recsys.evaluation.ope.dm import dm
from recsys.evaluation.ope.dr import dr
from recsys.evaluation.ope.dros import dros
from recsys.evaluation.ope.independent_ips import independent_ips
from recsys.evaluation.ope.ips import ips
from recsys.evaluation.ope.log import BanditLog, ListLog, bandit_log
from recsys.evaluation.ope.predictions import Predictions
from recsys.evaluation.ope.reward_interaction_ips import reward_interaction_ips
from recsys.evaluation.ope.reward_model import cross_fit
from recsys.evaluation.ope.sndr import sndr
from recsys.evaluation.ope.snips import snips
from recsys.evaluation.ope.standard_ips import standard_ips
from recsys.evaluation.ope.switch_dr import switch_dr

CONTEXTS, ACTIONS, N = 3, 4, 1500
RNG = np.random.default_rng(0)
LOGGING = RNG.dirichlet(np.full(ACTIONS, 3.0), CONTEXTS)
TARGET = RNG.dirichlet(np.full(ACTIONS, 3.0), CONTEXTS)
CLICK = RNG.uniform(0.1, 0.6, (CONTEXTS, ACTIONS))
TRUTH = float((TARGET * CLICK).sum(axis=1).mean())
SKEWED = CLICK * 0.7 + 0.1  # a model that is wrong, as every model is


def draw(rng, n=N):
    x = rng.integers(0, CONTEXTS, n)
    a = (rng.random(n)[:, None] > LOGGING[x].cumsum(axis=1)).sum(axis=1).clip(max=ACTIONS - 1)
    r = (rng.random(n) < CLICK[x, a]).astype(float)
    log = BanditLog(reward=r, logging=LOGGING[x, a], target=TARGET[x, a], users=np.arange(n) // 2)
    model = Predictions(logged=SKEWED[x, a], target=(TARGET[x] * SKEWED[x]).sum(axis=1))
    return log, model, x, a


ESTIMATORS = {
    "ips": lambda log, q: ips(log),
    "snips": lambda log, q: snips(log),
    "dr": dr,
    "sndr": sndr,
    "switch_dr": lambda log, q: switch_dr(log, q, threshold=100.0),
    "dros": lambda log, q: dros(log, q, strength=1e5),
}


def true_model(log, q):
    """The direct method with the model before it was skewed: its interval is of the contexts alone."""
    unskewed = [(values - 0.1) / 0.7 for values in (q.logged, q.target)]
    return dm(log, Predictions(logged=unskewed[0], target=unskewed[1]))


@pytest.mark.parametrize("name", [*ESTIMATORS, "dm"])
def test_interval_covers_the_truth_and_bias_is_within_its_error(name):
    runs = 1500
    rng = np.random.default_rng(21)
    estimate = ESTIMATORS.get(name, true_model)
    got = [estimate(*draw(rng)[:2]) for _ in range(runs)]
    values = np.array([g.value for g in got])
    coverage = np.mean([g.low <= TRUTH <= g.high for g in got])
    assert 0.93 <= coverage <= 0.97
    assert abs(values.mean() - TRUTH) < 4 * values.std() / np.sqrt(runs)
    assert np.mean([g.standard_error for g in got]) == pytest.approx(values.std(), rel=0.08)


def test_direct_method_is_exact_with_the_true_model():
    log, _, x, a = draw(np.random.default_rng(1), 200_000)
    model = Predictions(logged=CLICK[x, a], target=(TARGET[x] * CLICK[x]).sum(axis=1))
    assert dm(log, model).value == pytest.approx(TRUTH, abs=0.001)


def test_switch_and_shrinkage_reach_the_direct_method_and_doubly_robust_at_their_ends():
    log, model, _, _ = draw(np.random.default_rng(2))
    for ends in (
        (switch_dr(log, model, threshold=0.0), switch_dr(log, model, threshold=np.inf)),
        (dros(log, model, strength=0.0), dros(log, model, strength=np.inf)),
    ):
        assert ends[0].value == pytest.approx(dm(log, model).value)
        assert ends[1].value == pytest.approx(dr(log, model).value)


def test_identical_policies_return_the_observed_mean():
    log, _, _, _ = draw(np.random.default_rng(3))
    same = BanditLog(reward=log.reward, logging=log.logging, target=log.logging, users=log.users)
    for got in (ips(same), snips(same)):
        assert got.value == pytest.approx(log.reward.mean())


@pytest.mark.slow
def test_interval_of_cross_fitted_doubly_robust_covers_the_truth():
    # Rewards that are no clicks have a linear model, which is fitted in a fraction of the time.
    runs, n = 600, 400
    rng = np.random.default_rng(4)
    mean = np.array([0.2, 0.5, 0.8])[:, None] + np.array([-0.2, 0.0, 0.1, 0.2])
    truth = float((TARGET * mean).sum(axis=1).mean())
    got, of_ips = [], []
    for _ in range(runs):
        log, _, x, a = draw(rng, n)
        reward = mean[x, a] + rng.normal(0.0, 0.3, n)
        log = BanditLog(reward=reward, logging=log.logging, target=log.target, users=log.users)
        got.append(dr(log, cross_fit(log, np.eye(CONTEXTS)[x], a, TARGET[x], folds=3)))
        of_ips.append(ips(log).standard_error)
    values = np.array([each.value for each in got])
    errors = np.array([each.standard_error for each in got])
    assert 0.93 <= np.mean([each.low <= truth <= each.high for each in got]) <= 0.97
    assert abs(values.mean() - truth) < 4 * values.std() / np.sqrt(runs)
    assert errors.mean() == pytest.approx(values.std(), rel=0.08)
    assert (errors < of_ips).all()


def test_cross_fitted_doubly_robust_beats_ips_on_clicks_that_the_model_can_express():
    rng = np.random.default_rng(4)
    click = 1 / (1 + np.exp(-(np.array([-2.0, 0.0, 2.0])[:, None] + np.array([-1.0, 0.0, 1.0, 2.0]))))
    truth = float((TARGET * click).sum(axis=1).mean())
    for _ in range(8):
        log, _, x, a = draw(rng, 800)
        reward = (rng.random(800) < click[x, a]).astype(float)
        log = BanditLog(reward=reward, logging=log.logging, target=log.target, users=log.users)
        got = dr(log, cross_fit(log, np.eye(CONTEXTS)[x], a, TARGET[x], folds=3))
        assert got.standard_error < ips(log).standard_error
        assert abs(got.value - truth) < 4 * got.standard_error


def test_cross_fit_never_lets_a_user_predict_himself():
    log, _, x, a = draw(np.random.default_rng(5), 400)
    first = cross_fit(log, np.eye(CONTEXTS)[x], a, TARGET[x], folds=4)
    changed = log.reward.copy()
    changed[log.users == 0] = 1 - changed[log.users == 0]
    other = BanditLog(reward=changed, logging=log.logging, target=log.target, users=log.users)
    second = cross_fit(other, np.eye(CONTEXTS)[x], a, TARGET[x], folds=4)
    assert np.array_equal(first.logged[log.users == 0], second.logged[log.users == 0])


def draw_lists(rng, n):
    """Two ranks; the second reward depends on the first item: the cascade holds, independence does not."""
    first, second, t_first, t_second = LOGGING[0], LOGGING[1], TARGET[0], TARGET[1]
    a = rng.choice(ACTIONS, n, p=first)
    b = rng.choice(ACTIONS, n, p=second)
    means = np.column_stack([CLICK[0, a], CLICK[1, b] * (1 - 0.5 * CLICK[0, a])])
    log = ListLog(
        reward=(rng.random((n, 2)) < means).astype(float),
        logging=np.column_stack([first[a], second[b]]),
        target=np.column_stack([t_first[a], t_second[b]]),
        users=np.arange(n),
    )
    q2 = CLICK[1, b] * (1 - 0.5 * CLICK[0, a]) * 0.8
    tail = (t_second @ CLICK[1]) * 0.8
    q1_all = CLICK[0] * 0.8 + tail * (1 - 0.5 * CLICK[0])
    q1 = np.column_stack([q1_all[a], q2])
    qt = np.column_stack([np.full(n, t_first @ q1_all), tail * (1 - 0.5 * CLICK[0, a])])
    return log, q1, qt


LIST_TRUTH = float(TARGET[0] @ CLICK[0] + (TARGET[1] @ CLICK[1]) * (1 - 0.5 * (TARGET[0] @ CLICK[0])))


@pytest.mark.parametrize("name", ["standard_ips", "reward_interaction_ips", "cascade_dr"])
def test_list_interval_covers_the_truth_under_the_cascade(name):
    rng = np.random.default_rng(31)
    runs, values, hits = 800, [], 0
    for _ in range(runs):
        log, q1, qt = draw_lists(rng, 1000)
        got = {
            "standard_ips": lambda: standard_ips(log),  # noqa: B023
            "reward_interaction_ips": lambda: reward_interaction_ips(log),  # noqa: B023
            "cascade_dr": lambda: cascade_dr(log, q1, qt),  # noqa: B023
        }[name]()
        values.append(got.value)
        hits += got.low <= LIST_TRUTH <= got.high
    assert 0.93 <= hits / runs <= 0.97
    assert abs(np.mean(values) - LIST_TRUTH) < 4 * np.std(values) / np.sqrt(runs)


def test_independent_ips_is_right_when_ranks_do_not_interact():
    rng = np.random.default_rng(32)
    runs, hits, values = 800, 0, []
    truth = TARGET[0] @ CLICK[0] + TARGET[1] @ CLICK[1]
    for _ in range(runs):
        a, b = rng.choice(ACTIONS, 800, p=LOGGING[0]), rng.choice(ACTIONS, 800, p=LOGGING[1])
        log = ListLog(
            reward=(rng.random((800, 2)) < np.column_stack([CLICK[0, a], CLICK[1, b]])).astype(float),
            logging=np.column_stack([LOGGING[0, a], LOGGING[1, b]]),
            target=np.column_stack([TARGET[0, a], TARGET[1, b]]),
            users=np.arange(800),
        )
        got = independent_ips(log)
        values.append(got.value)
        hits += got.low <= truth <= got.high
    assert 0.93 <= hits / runs <= 0.97
    assert abs(np.mean(values) - truth) < 4 * np.std(values) / np.sqrt(runs)


def test_clipping_states_the_bias_that_it_makes():
    log, _, _, _ = draw(np.random.default_rng(6))
    clipped, cost = clip(log, 1.2)
    assert clipped.weights.max() <= 1.2 + 1e-12
    assert ips(log).value - ips(clipped).value == pytest.approx(cost.value_removed)
    assert cost.rows_clipped == int((log.weights > 1.2).sum())


def test_diagnostics_are_silent_on_sound_logs_and_name_what_is_wrong():
    log, _, _, _ = draw(np.random.default_rng(7))
    assert diagnose(log).advice == []
    wrong = BanditLog(reward=log.reward, logging=log.logging, target=log.target * 0.5, users=log.users)
    assert any("mean weight" in line for line in diagnose(wrong).advice)
    never = BanditLog(reward=log.reward, logging=log.logging, target=log.target * 0, users=log.users)
    assert any("never shows" in line for line in diagnose(never).advice)
    with pytest.raises(EvaluationError, match="every weight is 0"):
        snips(never)


def test_rows_with_a_zero_or_missing_propensity_are_counted_and_named():
    rows = pa.table(
        {
            "user_id": ["a", "b", "c", "d"],
            "reward": [1.0, 0.0, 1.0, 0.0],
            "p": [0.5, 0.0, None, 0.5],
            "t": [0.5, 0.5, 0.5, 0.5],
        }
    )
    log = bandit_log(rows, reward="reward", logging="p", target="t")
    assert (log.reward.size, log.rows_set_aside) == (2, 2)
    assert any("2 rows" in line for line in diagnose(log).advice)
    with pytest.raises(EvaluationError, match="'nope' is missing"):
        bandit_log(rows, reward="nope", logging="p", target="t")
