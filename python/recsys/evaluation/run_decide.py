"""From logs and a plan to ship, hold or fail, and the report that shows why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from recsys.contracts.decisions import Decision
from recsys.contracts.reports import GateResult, InputFile, Report, ReportWarning
from recsys.evaluation.decide import Evidence, decide, evidence_of
from recsys.evaluation.experiment import analyse_joined
from recsys.evaluation.inputs import Role, fingerprint_file, open_inputs
from recsys.evaluation.joins import DEFAULT_WINDOW
from recsys.evaluation.logs import DEFAULT_MEMORY
from recsys.evaluation.plan import Plan, check_plan
from recsys.evaluation.report.decision import DecisionPayload
from recsys.evaluation.report.experiment_quality import ExperimentPayload, experiment_warnings
from recsys.evaluation.report.provenance import new_report
from recsys.evaluation.run_experiment import changed_inputs, open_requests, plan_settings, primary_name
from recsys.evaluation.validate import Validation, validate_logs


def run_decide(
    logs: Mapping[Role, Sequence[str]],
    plan: Plan,
    *,
    plan_file: Path | None = None,
    rollback_version: str | None = None,
    is_rollback_checked: bool = False,
    window: timedelta = DEFAULT_WINDOW,
    memory: str = DEFAULT_MEMORY,
    tenant: str | None = None,
    now: datetime | None = None,
) -> tuple[Decision, Report, DecisionPayload]:
    """Return the decision, its report and the report's payload.

    The logs are checked line by line first; defects there end the run before anything is measured. The plan's
    own ``rollback_version`` stands in for a missing one; ``is_rollback_checked`` says that it was found in a
    registry. Raises ``EvaluationError`` as ``decide`` and
    ``experiment.analyse``.
    """
    check_plan(plan)
    checked = validate_logs(
        logs,
        now=now,
        min_join_rate=plan.minimum_join_rate,
        window=window,
        memory=memory,
        tenant=tenant,
        allow_tenants=False,
    )
    rollback = rollback_version or plan.rollback_version
    files: list[InputFile] = [*checked.inputs, *([fingerprint_file("plan", plan_file)] if plan_file else [])]
    hashes = {f"{file.role}:{file.name}": file.sha256 for file in files}
    defects = sum(finding.count for finding in checked.findings if finding.severity == "error")
    measured: ExperimentPayload | None = None
    changed: list[ReportWarning] = []
    if defects:
        evidence = Evidence(
            arms=[],
            schema_defects=defects,
            defect_kinds=sorted({found.kind for found in checked.findings if found.severity == "error"}),
            join_rate=checked.join_rate,
            sample_ratio=None,
            contaminated_users=0,
            metrics={},
            guardrails={},
            rollback_version=rollback,
            inputs=hashes,
            is_rollback_checked=is_rollback_checked,
        )
    else:
        with open_inputs(logs) as inputs, open_requests(inputs, plan, window, memory, tenant) as join:
            result = analyse_joined(join.connection, plan)
            changed = changed_inputs(inputs)
        measured = ExperimentPayload(result=result, primary_metric=primary_name(plan), joins=checked.join)
        evidence = evidence_of(
            plan,
            result,
            join_rate=checked.join_rate,
            rollback_version=rollback,
            inputs=hashes,
            is_rollback_checked=is_rollback_checked,
        )
    decision = decide(plan, evidence)
    payload = DecisionPayload(decision=decision, findings=checked.findings, measured=measured)
    warnings = [*changed, *_warnings(checked, measured)]
    return decision, _report(payload, plan, files, warnings, checked, window, tenant), payload


def _warnings(checked: Validation, measured: ExperimentPayload | None) -> list[ReportWarning]:
    causes = [ReportWarning("likely_cause", cause) for cause in checked.likely_causes]
    return causes + (experiment_warnings(measured.result, None) if measured else [])


def _report(
    payload: DecisionPayload,
    plan: Plan,
    files: Sequence[InputFile],
    warnings: Sequence[ReportWarning],
    checked: Validation,
    window: timedelta,
    tenant: str | None,
) -> Report:
    report = new_report(
        "experiment",
        cases=checked.lines.get("exposures", 0),
        inputs=files,
        settings=plan_settings(plan) | {"tenant": tenant, "window_s": window.total_seconds()},
        gates=[GateResult(gate.name, gate.status, gate.reason) for gate in payload.decision.gates],
        warnings=warnings,
        seed=plan.seed,
    )
    return msgspec.structs.replace(report, experiment=msgspec.Raw(msgspec.json.encode(payload)))
