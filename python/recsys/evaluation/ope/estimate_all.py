"""Every estimator on one log; those that a log cannot support are left out with the reason."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from msgspec import Struct

from recsys.contracts.errors import EvaluationError
from recsys.contracts.reports import Setting
from recsys.evaluation.ope.cascade_dr import cascade_dr
from recsys.evaluation.ope.dm import dm
from recsys.evaluation.ope.dr import dr
from recsys.evaluation.ope.dros import dros
from recsys.evaluation.ope.estimate import OpeEstimate
from recsys.evaluation.ope.independent_ips import independent_ips
from recsys.evaluation.ope.ips import ips
from recsys.evaluation.ope.list_reward_model import cross_fit_lists
from recsys.evaluation.ope.log import BanditLog, ListLog
from recsys.evaluation.ope.predictions import Predictions
from recsys.evaluation.ope.read import Decisions, Lists
from recsys.evaluation.ope.reward_interaction_ips import reward_interaction_ips
from recsys.evaluation.ope.reward_model import cross_fit
from recsys.evaluation.ope.sndr import sndr
from recsys.evaluation.ope.snips import snips
from recsys.evaluation.ope.standard_ips import standard_ips
from recsys.evaluation.ope.switch_dr import switch_dr
from recsys.evaluation.ope.target_policy import policy_by_rank
from recsys.evaluation.stats.estimate import IntArray


class Settings(Struct, frozen=True, kw_only=True):
    """How to estimate: the level of intervals; Switch-DR's threshold and DRos's lambda; folds and seed of the
    reward model.
    """

    level: float = 0.95
    switch_threshold: float = 10.0
    shrinkage: float = 100.0
    folds: int = 5
    seed: int = 0

    def described(self) -> dict[str, Setting]:
        """Return the settings for a report."""
        return {
            "level": self.level,
            "switch_threshold": self.switch_threshold,
            "shrinkage": self.shrinkage,
            "folds": self.folds,
        }


Found = tuple[list[OpeEstimate], dict[str, str]]
"""Estimates in a fixed order, and the reason for each estimator that is left out."""


def estimate_items(log: BanditLog, decisions: Decisions, kept: IntArray, settings: Settings) -> Found:
    """Return the value per exposed item by every estimator of single decisions.

    ``kept`` are the decisions that ``log`` holds. Those with a reward model need the whole target policy.
    """
    level = settings.level
    plain: dict[str, Callable[[], OpeEstimate]] = {
        "ips": lambda: ips(log, level),
        "snips": lambda: snips(log, level),
    }
    names = ("dm", "dr", "sndr", "switch_dr", "dros")
    try:
        model = _predict(log, decisions, kept, settings)
    except EvaluationError as error:
        estimates, left_out = _collect(plain)
        return estimates, left_out | dict.fromkeys(names, str(error))
    return _collect(
        plain
        | {
            "dm": lambda: dm(log, model, level),
            "dr": lambda: dr(log, model, level),
            "sndr": lambda: sndr(log, model, level),
            "switch_dr": lambda: switch_dr(log, model, threshold=settings.switch_threshold, level=level),
            "dros": lambda: dros(log, model, strength=settings.shrinkage, level=level),
        }
    )


def estimate_lists(lists: Lists, log: ListLog, settings: Settings) -> Found:
    """Return the value per list by every estimator of lists; ``log`` is that of ``lists``, or clipped."""
    level = settings.level
    plain: dict[str, Callable[[], OpeEstimate]] = {
        "standard_ips": lambda: standard_ips(log, level),
        "independent_ips": lambda: independent_ips(log, level),
        "reward_interaction_ips": lambda: reward_interaction_ips(log, level),
    }

    def cascade() -> OpeEstimate:
        shown = lists.actions >= 0
        ranks = np.broadcast_to(np.arange(shown.shape[1]), shown.shape)
        policy = policy_by_rank(
            ranks[shown].astype(np.int64),
            lists.actions[shown],
            lists.log.target[shown],
            n_actions=int(lists.actions.max()) + 1,
        )
        logged, target = cross_fit_lists(
            log, lists.contexts, lists.actions, policy, folds=settings.folds, seed=settings.seed
        )
        return cascade_dr(log, logged, target, level)

    return _collect(plain | {"cascade_dr": cascade})


def _predict(log: BanditLog, decisions: Decisions, kept: IntArray, settings: Settings) -> Predictions:
    rank, action = decisions.rank[kept], decisions.action[kept]
    target = decisions.table["target"].to_numpy()[kept]
    policy = policy_by_rank(rank, action, target, n_actions=len(decisions.items))
    return cross_fit(
        log,
        decisions.contexts[kept],
        action,
        policy,
        stratum=rank,
        folds=settings.folds,
        seed=settings.seed,
    )


def _collect(estimators: dict[str, Callable[[], OpeEstimate]]) -> Found:
    estimates: list[OpeEstimate] = []
    left_out: dict[str, str] = {}
    for name, estimate in estimators.items():
        try:
            estimates.append(estimate())
        except EvaluationError as error:
            left_out[name] = str(error)
    return estimates, left_out
