"""From logs to the report of an experiment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path

import msgspec

from recsys.contracts.reports import InputFile, Report, ReportWarning, Setting
from recsys.evaluation.experiment import analyse_joined
from recsys.evaluation.inputs import Inputs, Role, fingerprint_file, open_inputs
from recsys.evaluation.joins import DEFAULT_WINDOW, Join, open_join
from recsys.evaluation.logs import DEFAULT_MEMORY
from recsys.evaluation.plan import Plan
from recsys.evaluation.report.experiment_quality import (
    ExperimentPayload,
    experiment_gates,
    experiment_warnings,
)
from recsys.evaluation.report.provenance import new_report


def run_experiment(
    logs: Mapping[Role, Sequence[str]],
    plan: Plan,
    *,
    plan_file: Path | None = None,
    window: timedelta = DEFAULT_WINDOW,
    memory: str = DEFAULT_MEMORY,
    tenant: str | None = None,
) -> tuple[Report, ExperimentPayload]:
    """Return the report and its payload; ``logs`` maps role to files, folders, globs and URLs.

    ``plan_file`` is where the plan comes from, for the list of inputs. Raises ``EvaluationError`` for logs
    that cannot be read or joined, and as ``experiment.analyse``.
    """
    with open_inputs(logs) as inputs, open_requests(inputs, plan, window, memory, tenant) as join:
        joins = join.counts()
        result = analyse_joined(join.connection, plan)
        files = [*inputs.fingerprint(), *([fingerprint_file("plan", plan_file)] if plan_file else [])]
        changed = changed_inputs(inputs)
    payload = ExperimentPayload(result=result, primary_metric=primary_name(plan), joins=joins)
    report = experiment_report(payload, plan, files, changed, window, tenant)
    return report, payload


def open_requests(
    inputs: Inputs, plan: Plan, window: timedelta, memory: str, tenant: str | None
) -> AbstractContextManager[Join]:
    """Return the join for the requests of an experiment: users by their hashes, and no names."""
    return open_join(
        inputs,
        window=window,
        memory=memory,
        experiment=plan.experiment_id,
        with_names=False,
        tenant=tenant,
    )


def experiment_report(
    payload: ExperimentPayload,
    plan: Plan,
    files: Sequence[InputFile],
    more: Sequence[ReportWarning],
    window: timedelta,
    tenant: str | None,
) -> Report:
    """Return the report of an analysis; ``more`` are warnings beside those of the analysis itself."""
    result = payload.result
    report = new_report(
        "experiment",
        cases=result.requests,
        inputs=files,
        settings=plan_settings(plan) | {"tenant": tenant, "window_s": window.total_seconds()},
        gates=experiment_gates(result, payload.joins, plan.minimum_join_rate),
        warnings=[*more, *experiment_warnings(result, payload.joins)],
        seed=plan.seed,
    )
    return msgspec.structs.replace(report, experiment=msgspec.Raw(msgspec.json.encode(payload)))


def plan_settings(plan: Plan) -> dict[str, Setting]:
    """Return the plan as settings of a report, one level deep."""
    primary = plan.primary_metric
    return {
        "control_variant": plan.control_variant,
        "candidate_variant": plan.candidate_variant,
        "experiment_id": plan.experiment_id,
        "start": plan.start.isoformat() if plan.start else None,
        "end": plan.end.isoformat() if plan.end else None,
        "shares": [f"{arm}={share:g}" for arm, share in plan.split.items()],
        "metrics": [metric.name for metric in plan.family],
        "primary_metric": primary.name if primary else None,
        "minimum_effect": primary.minimum_effect if primary else None,
        "deciding_interval": primary.interval if primary else None,
        "guardrails": [f"{name}={margin:g}" for name, margin in plan.guardrails.items()],
        "minimum_join_rate": plan.minimum_join_rate,
        "level": plan.level,
        "slices": list(plan.slices),
        "minimum_users_per_slice": plan.minimum_users_per_slice,
        "replicates": plan.replicates,
    }


def primary_name(plan: Plan) -> str | None:
    """Return the name of the metric that decides."""
    return plan.primary_metric.name if plan.primary_metric else None


def changed_inputs(inputs: Inputs) -> list[ReportWarning]:
    """Return a warning for each input that changed while it was read: numbers and digest may not agree."""
    return [
        ReportWarning("input_changed", f"{name} changed while it was read; run again when it is at rest.")
        for name in inputs.find_changed()
    ]
