"""From measured evidence to ship, hold or fail: five gates in a fixed order, data quality before any metric.

A gate that does not pass ends the run. ``fail`` means that the data show harm or cannot be read; ``hold``
that they do not say; nothing inconclusive ships.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from recsys.contracts.decisions import Decision, DecisionKind, GateName, GateResult, GateStatus
from recsys.contracts.errors import EvaluationError
from recsys.contracts.patterns import PATH_SEGMENT
from recsys.evaluation.experiment_results import ExperimentResult, MetricResult
from recsys.evaluation.plan import Plan, PrimaryMetric
from recsys.evaluation.stats.estimate import Difference
from recsys.evaluation.stats.noninferiority import NonInferiority
from recsys.evaluation.stats.srm import SampleRatio


class Evidence(Struct, frozen=True, kw_only=True):
    """What was measured. ``metrics`` maps a metric to candidate minus control; ``rollback_version`` is what
    to return to, known to be there when ``is_rollback_checked``. ``sample_ratio`` is None, and nothing
    else measured, when records are defective; ``defect_kinds`` names how.
    """

    arms: list[str]
    schema_defects: int
    join_rate: float | None
    sample_ratio: SampleRatio | None
    contaminated_users: int
    metrics: dict[str, Difference]
    guardrails: dict[str, NonInferiority]
    rollback_version: str | None
    inputs: dict[str, str] = {}
    defect_kinds: list[str] = []
    is_rollback_checked: bool = False


def evidence_of(
    plan: Plan,
    result: ExperimentResult,
    *,
    join_rate: float | None,
    rollback_version: str | None,
    inputs: Mapping[str, str],
    is_rollback_checked: bool = False,
) -> Evidence:
    """Return the evidence that an analysis gives; the primary metric by the interval that the plan names.

    ``inputs`` maps names to sha256. ``EvaluationError`` when that interval could not be computed.
    """
    metrics = {metric.name: metric.absolute for metric in result.metrics}
    if plan.primary_metric is not None:
        primary = result.metric(plan.primary_metric.name)
        if primary is not None:
            metrics[primary.name] = deciding_interval(primary, plan.primary_metric)
    return Evidence(
        arms=[arm for arm, users in result.sample_ratio.observed.items() if users],
        schema_defects=0,
        join_rate=join_rate,
        sample_ratio=result.sample_ratio,
        contaminated_users=result.contaminated_users,
        metrics=metrics,
        guardrails={name: guardrail.test for name, guardrail in result.guardrails.items()},
        rollback_version=rollback_version,
        inputs=dict(inputs),
        is_rollback_checked=is_rollback_checked,
    )


def deciding_interval(metric: MetricResult, primary: PrimaryMetric) -> Difference:
    """Return the difference with the interval that the plan decides by."""
    if primary.interval == "cuped":
        if metric.cuped is None:
            raise EvaluationError(f"metric {metric.name!r} has no pre-period: nobody was seen before start")
        return metric.cuped.difference
    if primary.interval == "always_valid":
        if not metric.looks:
            raise EvaluationError(f"metric {metric.name!r} has no look: too few users in an arm, or no days")
        look = metric.looks[-1].always_valid
        return Difference(
            value=look.value,
            standard_error=look.standard_error,
            low=look.low,
            high=look.high,
            p_value=look.p_value,
            level=metric.absolute.level,
            method="always valid",
        )
    return metric.absolute


def decide(plan: Plan, evidence: Evidence) -> Decision:
    """Return the decision; raises ``EvaluationError`` for a metric, guardrail or arm that the evidence does
    not have, and for a plan without a primary metric.
    """
    if plan.primary_metric is None:
        raise EvaluationError("primary_metric is missing: a decision needs one")
    if evidence.rollback_version and not re.match(PATH_SEGMENT, evidence.rollback_version):
        raise EvaluationError(f"rollback_version: {evidence.rollback_version!r} is no version of a release")
    if not evidence.schema_defects:
        _check_known("arm", [plan.control_variant, plan.candidate_variant], evidence.arms)
        _check_known("primary metric", [plan.primary_metric.name], evidence.metrics)
        _check_known("guardrail", list(plan.guardrails), evidence.guardrails)
    gates: list[GateResult] = []
    for name, gate in _GATES:
        is_reached = _all_pass(gates)
        gates.append(
            gate(plan, evidence) if is_reached else _result(name, "not_reached", "a gate before it stopped")
        )
    stopped = next((gate for gate in gates if gate.status != "pass"), None)
    decision: DecisionKind = "ship"
    if stopped is not None:
        decision = "fail" if stopped.status == "fail" else "hold"
    return Decision(
        decision=decision,
        reason=stopped.reason if stopped else f"every gate passed; {gates[3].reason}",
        control_variant=plan.control_variant,
        candidate_variant=plan.candidate_variant,
        gates=gates,
        inputs=dict(evidence.inputs),
    )


def _schemas(_plan: Plan, evidence: Evidence) -> GateResult:
    defects = evidence.schema_defects
    if defects:
        kinds = f" ({', '.join(evidence.defect_kinds)})" if evidence.defect_kinds else ""
        return _result("schemas", "fail", f"{defects} records are defective{kinds}", defects=defects)
    return _result("schemas", "pass", "every record fits its schema", defects=0)


def _join_integrity(plan: Plan, evidence: Evidence) -> GateResult:
    rate, ratio = evidence.join_rate, evidence.sample_ratio
    if ratio is None:
        return _result("join_integrity", "fail", "users per arm were not counted")
    empty = sorted(arm for arm, users in ratio.observed.items() if users == 0)
    reason, status = "", "hold"
    if rate is not None and not rate >= plan.minimum_join_rate:
        reason, status = f"{rate:.2%} of outcomes join, {plan.minimum_join_rate:.2%} are needed", "fail"
    elif empty:
        reason, status = f"no user in arm {', '.join(empty)}", "fail"
    elif ratio.undeclared:
        reason, status = f"users are in arms that no share declares: {', '.join(ratio.undeclared)}", "fail"
    elif ratio.is_mismatch:
        reason, status = f"users per arm do not fit the declared split (p = {ratio.p_value:.2g})", "fail"
    elif evidence.contaminated_users:
        reason = f"{evidence.contaminated_users} users were in more than one arm"
    elif rate is None:
        reason = "there are no outcomes to join"
    numbers = {
        "join_rate": rate,
        "sample_ratio_p": ratio.p_value,
        "contaminated": evidence.contaminated_users,
    }
    if not reason:
        return _result("join_integrity", "pass", "outcomes join and users fit the split", **numbers)
    return _result("join_integrity", "fail" if status == "fail" else "hold", reason, **numbers)


def _guardrails(plan: Plan, evidence: Evidence) -> GateResult:
    bounds = {name: evidence.guardrails[name].upper_bound for name in plan.guardrails}
    broken = [name for name in plan.guardrails if evidence.guardrails[name].verdict == "broken"]
    unclear = [name for name in plan.guardrails if evidence.guardrails[name].verdict == "inconclusive"]
    if broken:
        return _result("guardrails", "fail", f"worse than allowed: {', '.join(broken)}", **bounds)
    if unclear:
        return _result("guardrails", "hold", f"not yet shown to hold: {', '.join(unclear)}", **bounds)
    return _result("guardrails", "pass", f"{len(bounds)} guardrails hold", **bounds)


def _primary_metric(plan: Plan, evidence: Evidence) -> GateResult:
    primary = plan.primary_metric or PrimaryMetric(name="")
    name, least = primary.name, primary.minimum_effect
    effect = evidence.metrics[name]
    numbers = {"value": effect.value, "low": effect.low, "high": effect.high, "minimum_effect": least}
    span = f"{name} {effect.value:+.4g}, interval {effect.low:+.4g} to {effect.high:+.4g}"
    is_reversed = any(metric.lower_is_better for metric in plan.family if metric.name == name)
    low, high = (-effect.high, -effect.low) if is_reversed else (effect.low, effect.high)
    if high < 0.0:
        return _result("primary_metric", "fail", f"{span}: the candidate is worse", **numbers)
    if low > 0.0 and low >= least:
        return _result(
            "primary_metric", "pass", f"{span}: all of it reaches the minimum effect of {least:g}", **numbers
        )
    if high < least:
        return _result(
            "primary_metric", "hold", f"{span}: less than the minimum effect of {least:g}", **numbers
        )
    return _result(
        "primary_metric", "hold", f"{span}: not shown to reach the minimum effect of {least:g}", **numbers
    )


def _rollback_path(_plan: Plan, evidence: Evidence) -> GateResult:
    version = evidence.rollback_version
    if not version:
        return _result("rollback_path", "hold", "there is no version to roll back to")
    note = "" if evidence.is_rollback_checked else " (not checked: no --registry)"
    return _result("rollback_path", "pass", f"rollback goes to {version}{note}", version=version)


_GATES: tuple[tuple[GateName, Callable[[Plan, Evidence], GateResult]], ...] = (
    ("schemas", _schemas),
    ("join_integrity", _join_integrity),
    ("guardrails", _guardrails),
    ("primary_metric", _primary_metric),
    ("rollback_path", _rollback_path),
)


def _all_pass(gates: Sequence[GateResult]) -> bool:
    return all(gate.status == "pass" for gate in gates)


def _result(name: GateName, status: GateStatus, reason: str, **evidence: float | str | None) -> GateResult:
    return GateResult(name=name, status=status, reason=reason, evidence=dict(evidence))


def _check_known(what: str, wanted: Sequence[str], known: Sequence[str] | Mapping[str, object]) -> None:
    for name in wanted:
        if name not in known:
            have = ", ".join(sorted(known)) or "none"
            raise EvaluationError(f"{what} {name!r} is not in the evidence; there are: {have}")
