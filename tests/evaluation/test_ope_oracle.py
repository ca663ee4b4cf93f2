"""Off-policy estimators against the Open Bandit Pipeline, whose modules are loaded without its package.

The package imports torch, which only its gradient code needs; a stand-in with the one name that is looked up
lets the estimators on arrays run as they are.
"""

import sys
import types
import warnings
from importlib import import_module
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pytest

from recsys.evaluation.ope.dm import dm
from recsys.evaluation.ope.dr import dr
from recsys.evaluation.ope.dros import dros
from recsys.evaluation.ope.independent_ips import independent_ips
from recsys.evaluation.ope.ips import ips
from recsys.evaluation.ope.log import BanditLog, ListLog
from recsys.evaluation.ope.predictions import Predictions
from recsys.evaluation.ope.reward_interaction_ips import reward_interaction_ips
from recsys.evaluation.ope.sndr import sndr
from recsys.evaluation.ope.snips import snips
from recsys.evaluation.ope.standard_ips import standard_ips
from recsys.evaluation.ope.switch_dr import switch_dr

ROWS, ACTIONS = 400, 6


@pytest.fixture
def obp(monkeypatch):
    torch = types.ModuleType("torch")
    torch.Tensor = type("Tensor", (), {})
    monkeypatch.setitem(sys.modules, "torch", torch)
    root = Path(str(distribution("obp").locate_file("obp")))
    for name, folder in (("obp", root), ("obp.ope", root / "ope")):
        package = types.ModuleType(name)
        package.__path__ = [str(folder)]
        monkeypatch.setitem(sys.modules, name, package)
    with warnings.catch_warnings():
        # Compiled here when whatever installed it did not: an escape in a docstring of theirs is warned of.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", SyntaxWarning)
        loaded = import_module("obp.ope.estimators"), import_module("obp.ope.estimators_slate")
    yield loaded
    for name in [name for name in sys.modules if name == "obp" or name.startswith("obp.")]:
        monkeypatch.delitem(sys.modules, name)


def test_estimators_of_single_decisions_agree(obp):
    theirs, _ = obp
    rng = np.random.default_rng(5)
    logging, target = rng.dirichlet(np.ones(ACTIONS), ROWS), rng.dirichlet(np.ones(ACTIONS), ROWS)
    action = (rng.random(ROWS)[:, None] > logging.cumsum(axis=1)).sum(axis=1).clip(max=ACTIONS - 1)
    reward = rng.binomial(1, 0.3, ROWS).astype(float)
    model = rng.uniform(0.1, 0.5, (ROWS, ACTIONS))
    rows = np.arange(ROWS)
    log = BanditLog(reward=reward, logging=logging[rows, action], target=target[rows, action], users=rows)
    ours = Predictions(logged=model[rows, action], target=(target * model).sum(axis=1))
    known = {
        "reward": reward,
        "action": action,
        "pscore": log.logging,
        "action_dist": target[:, :, None],
        "position": np.zeros(ROWS, dtype=int),
        "estimated_rewards_by_reg_model": model[:, :, None],
    }
    for value, estimator in (
        (ips(log), theirs.InverseProbabilityWeighting()),
        (snips(log), theirs.SelfNormalizedInverseProbabilityWeighting()),
        (dm(log, ours), theirs.DirectMethod()),
        (dr(log, ours), theirs.DoublyRobust()),
        (sndr(log, ours), theirs.SelfNormalizedDoublyRobust()),
        (switch_dr(log, ours, threshold=1.7), theirs.SwitchDoublyRobust(tau=1.7)),
        (dros(log, ours, strength=3.0), theirs.DoublyRobustWithShrinkage(lambda_=3.0)),
    ):
        assert value.value == pytest.approx(estimator.estimate_policy_value(**known), rel=1e-12), (
            value.estimator
        )


def test_estimators_of_lists_agree(obp):
    _, theirs = obp
    rng = np.random.default_rng(6)
    shape = (ROWS, 3)
    log = ListLog(
        reward=rng.binomial(1, 0.3, shape).astype(float),
        logging=rng.uniform(0.2, 0.9, shape),
        target=rng.uniform(0.1, 0.9, shape),
        users=np.arange(ROWS),
    )
    flat = {
        "slate_id": np.repeat(np.arange(ROWS), 3),
        "position": np.tile(np.arange(3), ROWS),
        "reward": log.reward.ravel(),
    }
    whole = [np.repeat(part.prod(axis=1), 3) for part in (log.logging, log.target)]
    above = [part.cumprod(axis=1).ravel() for part in (log.logging, log.target)]
    found = theirs.SlateStandardIPS(len_list=3).estimate_policy_value(
        **flat, pscore=whole[0], evaluation_policy_pscore=whole[1]
    )
    assert standard_ips(log).value == pytest.approx(found, rel=1e-12)
    found = theirs.SlateIndependentIPS(len_list=3).estimate_policy_value(
        **flat,
        pscore_item_position=log.logging.ravel(),
        evaluation_policy_pscore_item_position=log.target.ravel(),
    )
    assert independent_ips(log).value == pytest.approx(found, rel=1e-12)
    found = theirs.SlateRewardInteractionIPS(len_list=3).estimate_policy_value(
        **flat, pscore_cascade=above[0], evaluation_policy_pscore_cascade=above[1]
    )
    assert reward_interaction_ips(log).value == pytest.approx(found, rel=1e-12)
