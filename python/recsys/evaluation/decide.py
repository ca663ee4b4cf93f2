"""From measured evidence to ship, hold or fail: five gates in a fixed order, data quality before any metric.

A gate that does not pass ends the run. ``fail`` means that the data show harm or cannot be read; ``hold``
that they do not say; nothing inconclusive ships.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from recsys.contracts.decisions import Decision, DecisionKind, GateName, GateResult, GateStatus
from recsys.contracts.errors import EvaluationError
from recsys.evaluation.stats.estimate import Difference
from recsys.evaluation.stats.noninferiority import NonInferiority
from recsys.evaluation.stats.srm import SampleRatio


class PrimaryMetric(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The metric that decides, and the smallest difference (in the report's unit) worth shipping for."""

    name: str
    minimum_effect: float = 0.0


class DecisionPlan(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The TOML file: which arms, which metric, which guardrails, and what the data must be like."""

    control_variant: str
    candidate_variant: str
    primary_metric: PrimaryMetric
    guardrails: list[str] = []
    minimum_join_rate: float = 0.95


class Evidence(Struct, frozen=True, kw_only=True):
    """What was measured. ``metrics`` maps a metric to candidate minus control; ``rollback_version`` is what
    to return to.
    """

    arms: list[str]
    schema_defects: int
    join_rate: float | None
    sample_ratio: SampleRatio
    contaminated_users: int
    metrics: dict[str, Difference]
    guardrails: dict[str, NonInferiority]
    rollback_version: str | None
    inputs: dict[str, str] = {}


def read_plan(path: Path) -> DecisionPlan:
    """Return the plan of a TOML file; ``EvaluationError`` names the file and the field that is wrong."""
    try:
        plan = msgspec.toml.decode(path.read_bytes(), type=DecisionPlan)
    except OSError as error:
        raise EvaluationError(f"{path}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise EvaluationError(f"{path}: {error}") from error
    if plan.control_variant == plan.candidate_variant:
        raise EvaluationError(f"{path}: both arms are {plan.control_variant!r}")
    if not 0.0 <= plan.minimum_join_rate <= 1.0:
        raise EvaluationError(f"{path}: minimum_join_rate {plan.minimum_join_rate} is not between 0 and 1")
    if not plan.primary_metric.minimum_effect >= 0.0:
        raise EvaluationError(f"{path}: primary_metric.minimum_effect must be at least 0")
    return plan


def decide(plan: DecisionPlan, evidence: Evidence) -> Decision:
    """Return the decision; raises ``EvaluationError`` for a metric, guardrail or arm that the evidence does
    not have.
    """
    _check_known("arm", [plan.control_variant, plan.candidate_variant], evidence.arms)
    _check_known("primary metric", [plan.primary_metric.name], evidence.metrics)
    _check_known("guardrail", plan.guardrails, evidence.guardrails)
    gates: list[GateResult] = []
    for name, gate in _GATES:
        is_reached = _all_pass(gates)
        gates.append(gate(plan, evidence) if is_reached else _result(name, "not_reached", "not reached"))
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


def _schemas(_plan: DecisionPlan, evidence: Evidence) -> GateResult:
    defects = evidence.schema_defects
    if defects:
        return _result("schemas", "fail", f"{defects} records break their schema", defects=defects)
    return _result("schemas", "pass", "every record fits its schema", defects=0)


def _join_integrity(plan: DecisionPlan, evidence: Evidence) -> GateResult:
    rate, ratio = evidence.join_rate, evidence.sample_ratio
    empty = sorted(arm for arm, users in ratio.observed.items() if users == 0)
    reason, status = "", "hold"
    if rate is not None and not rate >= plan.minimum_join_rate:
        reason, status = f"{rate:.2%} of outcomes join, {plan.minimum_join_rate:.2%} are needed", "fail"
    elif empty:
        reason, status = f"no user in arm {', '.join(empty)}", "fail"
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


def _guardrails(plan: DecisionPlan, evidence: Evidence) -> GateResult:
    bounds = {name: evidence.guardrails[name].upper_bound for name in plan.guardrails}
    broken = [name for name in plan.guardrails if evidence.guardrails[name].verdict == "broken"]
    unclear = [name for name in plan.guardrails if evidence.guardrails[name].verdict == "inconclusive"]
    if broken:
        return _result("guardrails", "fail", f"worse than allowed: {', '.join(broken)}", **bounds)
    if unclear:
        return _result("guardrails", "hold", f"not yet shown to hold: {', '.join(unclear)}", **bounds)
    return _result("guardrails", "pass", f"{len(bounds)} guardrails hold", **bounds)


def _primary_metric(plan: DecisionPlan, evidence: Evidence) -> GateResult:
    name, least = plan.primary_metric.name, plan.primary_metric.minimum_effect
    effect = evidence.metrics[name]
    numbers = {"value": effect.value, "low": effect.low, "high": effect.high, "minimum_effect": least}
    span = f"{name} {effect.value:+.4g} [{effect.low:+.4g}, {effect.high:+.4g}]"
    if effect.high < 0.0:
        return _result("primary_metric", "fail", f"{span}: the candidate is worse", **numbers)
    if effect.low > 0.0 and effect.low >= least:
        return _result("primary_metric", "pass", f"{span}: reaches {least:g}", **numbers)
    if effect.high < least:
        return _result("primary_metric", "hold", f"{span}: below the minimum effect {least:g}", **numbers)
    return _result("primary_metric", "hold", f"{span}: inconclusive against {least:g}", **numbers)


def _rollback_path(_plan: DecisionPlan, evidence: Evidence) -> GateResult:
    version = evidence.rollback_version
    if not version:
        return _result("rollback_path", "hold", "there is no version to roll back to")
    return _result("rollback_path", "pass", f"rollback goes to {version}", version=version)


_GATES: tuple[tuple[GateName, Callable[[DecisionPlan, Evidence], GateResult]], ...] = (
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
