"""From logs to the report of a resampled A/A check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

import msgspec
import numpy as np

from recsys.contracts.errors import EvaluationError
from recsys.contracts.reports import GateResult, Report
from recsys.evaluation.aa import resampled_aa
from recsys.evaluation.experiment_metrics import sums_of, terms_of
from recsys.evaluation.experiment_units import choose_requests, gather_units
from recsys.evaluation.inputs import Role, open_inputs
from recsys.evaluation.joins import DEFAULT_WINDOW, open_join
from recsys.evaluation.logs import DEFAULT_MEMORY
from recsys.evaluation.plan import plan_from
from recsys.evaluation.report import numbers
from recsys.evaluation.report.aa import AaMetric, AaPayload
from recsys.evaluation.report.provenance import new_report
from recsys.evaluation.run_experiment import changed_inputs

DEFAULT_METRICS = ("ctr", "conversion_rate", "revenue_per_user")


def run_aa(
    logs: Mapping[Role, Sequence[str]],
    *,
    metrics: Sequence[str] = DEFAULT_METRICS,
    variant: str | None = None,
    splits: int = 1000,
    alpha: float = 0.05,
    seed: int = 0,
    window: timedelta = DEFAULT_WINDOW,
    memory: str = DEFAULT_MEMORY,
    tenant: str | None = None,
) -> tuple[Report, AaPayload]:
    """Return the report and its payload; users of all requests, or of those in arm ``variant``, are split;
    ``tenant`` names one when the logs are of several.

    Users in several arms belong to each of them here: what counts is that the halves differ by chance alone.
    Raises ``EvaluationError`` for an unknown metric, an arm without requests, and as ``resampled_aa``.
    """
    plan = plan_from({"control_variant": "a", "candidate_variant": "b", "metrics": list(metrics)})
    chosen = "" if variant is None else "WHERE variant = " + "'" + variant.replace("'", "''") + "'"
    with (
        open_inputs(logs) as inputs,
        open_join(inputs, window=window, memory=memory, with_names=False, tenant=tenant) as join,
    ):
        joins, connection = join.counts(), join.connection
        connection.execute(
            "CREATE VIEW split_requests AS SELECT * REPLACE ('all' AS variant, NULL AS experiment_id) "  # noqa: S608
            f"FROM requests {chosen}"
        )
        try:
            choose_requests(connection, "split_requests", plan)
            units = gather_units(connection, (term for one in plan.family for term in terms_of(one)), plan)
        except EvaluationError as error:
            raise EvaluationError(f"{error}{f' in arm {variant!r}' if variant else ''}") from error
        files, changed = inputs.fingerprint(), changed_inputs(inputs)
    found: list[AaMetric] = []
    for metric in plan.family:
        tops, bottoms = sums_of(metric, {term: units.totals(term) for term in terms_of(metric)})
        is_seen = (bottoms != 0.0) | (tops != 0.0)
        try:
            check = resampled_aa(tops[is_seen], bottoms[is_seen], splits=splits, alpha=alpha, seed=seed)
        except EvaluationError as error:
            raise EvaluationError(f"metric {metric.name!r}: {error}") from error
        value = float(np.sum(tops)) / float(np.sum(bottoms))
        found.append(AaMetric(name=metric.name, value=value, check=check))
    payload = AaPayload(metrics=found, joins=joins)
    report = new_report(
        "aa-check",
        cases=units.requests,
        inputs=files,
        settings={
            "metrics": [metric.name for metric in plan.family],
            "variant": variant,
            "tenant": tenant,
            "splits": splits,
            "alpha": alpha,
            "window_s": window.total_seconds(),
        },
        gates=[
            GateResult(
                metric.name,
                "pass" if metric.check.is_sound else "fail",
                f"{numbers.percent(metric.check.false_positive_rate)} false positives at {alpha:g}, "
                f"p-values uniform with p = {numbers.p_value(metric.check.uniformity_p_value)}",
            )
            for metric in found
        ],
        warnings=changed,
        seed=seed,
    )
    return msgspec.structs.replace(report, aa_check=msgspec.Raw(msgspec.json.encode(payload))), payload
