"""From logs with propensities to the report of an off-policy evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

import msgspec
import numpy as np

from recsys.contracts.reports import Report, ReportWarning
from recsys.evaluation.inputs import Role, open_inputs
from recsys.evaluation.joins import DEFAULT_WINDOW, open_join
from recsys.evaluation.logs import DEFAULT_MEMORY
from recsys.evaluation.ope.clipping import ClippingCost, clip, clip_lists
from recsys.evaluation.ope.diagnostics import diagnose
from recsys.evaluation.ope.estimate import estimate_from
from recsys.evaluation.ope.estimate_all import Settings, estimate_items, estimate_lists
from recsys.evaluation.ope.log import BanditLog
from recsys.evaluation.ope.read import Reward, Unit, item_log, list_log, read_decisions
from recsys.evaluation.report.ope import OpePayload, WeightHistogram
from recsys.evaluation.report.provenance import new_report
from recsys.evaluation.run_experiment import changed_inputs

_BINS = 24


def run_ope(
    logs: Mapping[Role, Sequence[str]],
    *,
    reward: Reward = "click",
    unit: Unit | None = None,
    features: Sequence[str] = (),
    settings: Settings | None = None,
    max_weight: float | None = None,
    window: timedelta = DEFAULT_WINDOW,
    memory: str = DEFAULT_MEMORY,
    tenant: str | None = None,
) -> tuple[Report, OpePayload]:
    """Return the report and its payload: what the target policy would have earned per ``unit``.

    ``unit`` is ``list`` when any list has more than one item, else ``item``; ``features`` are context keys
    for the reward model; weights above ``max_weight`` are cut, and the cost is reported. Raises
    ``EvaluationError`` for logs that cannot be joined or lack the target's propensities.
    """
    chosen = settings or Settings()
    with open_inputs(logs) as inputs, open_join(inputs, window=window, memory=memory, tenant=tenant) as join:
        joins = join.counts()
        decisions = read_decisions(join.connection, reward=reward, features=features)
        files, changed = inputs.fingerprint(), changed_inputs(inputs)
    unit = unit or ("list" if int(decisions.rank.max()) > 0 else "item")
    clipping: ClippingCost | None = None
    if unit == "item":
        log, kept = item_log(decisions)
        if max_weight is not None:
            log, clipping = clip(log, max_weight)
        estimates, left_out = estimate_items(log, decisions, kept, chosen)
    else:
        lists = list_log(decisions)
        clipped = lists.log
        if max_weight is not None:
            clipped, clipping = clip_lists(lists.log, max_weight)
        estimates, left_out = estimate_lists(lists, clipped, chosen)
        log = BanditLog(
            reward=clipped.reward.sum(axis=1),
            logging=clipped.logging.prod(axis=1),
            target=clipped.target.prod(axis=1),
            users=clipped.users,
            rows_set_aside=lists.lists_set_aside,
        )
    diagnostics = diagnose(log)
    payload = OpePayload(
        unit=unit,
        reward=reward,
        observed=estimate_from(log.reward, log.users, chosen.level, "observed"),
        estimates=estimates,
        left_out=left_out,
        diagnostics=diagnostics,
        clipping=clipping,
        weights=_histogram(log),
        joins=joins,
    )
    report = new_report(
        "ope",
        cases=log.reward.size,
        inputs=files,
        settings={
            "reward": reward,
            "unit": unit,
            "tenant": tenant,
            "features": list(features),
            "max_weight": max_weight,
            "window_s": window.total_seconds(),
            **chosen.described(),
        },
        warnings=[
            *changed,
            *(ReportWarning("overlap", line) for line in diagnostics.advice),
            *(ReportWarning("estimator_left_out", f"{name}: {reason}") for name, reason in left_out.items()),
        ],
        seed=chosen.seed,
    )
    return msgspec.structs.replace(report, ope=msgspec.Raw(msgspec.json.encode(payload))), payload


def _histogram(log: BanditLog) -> WeightHistogram:
    """Return the weights up to their 99.5th percentile, or all when they hardly differ, in equal steps."""
    weights = log.weights
    top = float(np.quantile(weights, 0.995))
    top = top if top > 0.0 else float(weights.max()) or 1.0
    counts, edges = np.histogram(np.minimum(weights, top), bins=_BINS, range=(0.0, top))
    return WeightHistogram(
        edges=edges.tolist(), counts=counts.tolist(), above=int(np.count_nonzero(weights > top))
    )
