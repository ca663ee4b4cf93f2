"""Whether an experiment can be trusted: its gates, the warnings of its report, and the report's payload."""

from __future__ import annotations

from msgspec import Struct

from recsys.contracts.reports import GateResult, GateVerdict, ReportWarning
from recsys.evaluation.experiment_results import ExperimentResult, Guardrail
from recsys.evaluation.joins import JoinCounts
from recsys.evaluation.report import numbers

_GATES: dict[str, GateVerdict] = {"holds": "pass", "broken": "fail", "inconclusive": "hold"}


class ExperimentPayload(Struct, frozen=True, kw_only=True):
    """``experiment`` in the report: the analysis, and the funnel of the joins that it rests on."""

    result: ExperimentResult
    primary_metric: str | None
    joins: JoinCounts | None = None


def experiment_gates(
    result: ExperimentResult, joins: JoinCounts | None, minimum_join_rate: float
) -> list[GateResult]:
    """Return the gates of an experiment that nobody decides about: too few outcomes that join,
    the split, and each guardrail.
    """
    gates = [
        GateResult(name, _GATES[rail.test.verdict], _guardrail_words(rail))
        for name, rail in result.guardrails.items()
    ]
    ratio = result.sample_ratio
    if gates or ratio.is_mismatch:
        words = f"users per arm against the declared split: p = {ratio.p_value:.2g}"
        gates.insert(0, GateResult("sample_ratio", "fail" if ratio.is_mismatch else "pass", words))
    rate = joins.join_rate if joins is not None else None
    if rate is not None and rate < minimum_join_rate:
        words = (
            f"{numbers.percent(rate)} of outcomes join an exposure, {numbers.percent(minimum_join_rate)} are "
            "needed: no number below is safe"
        )
        gates.insert(0, GateResult("join_rate", "fail", words))
    return gates


def experiment_warnings(result: ExperimentResult, joins: JoinCounts | None) -> list[ReportWarning]:
    """Return what a reader has to know before trusting the numbers."""
    found: list[ReportWarning] = []

    def warn(code: str, detail: str) -> None:
        found.append(ReportWarning(code, detail))

    empty = [arm for arm, users in result.sample_ratio.observed.items() if users == 0]
    if empty:
        warn("empty_arm", f"Nobody is in {', '.join(empty)}.")
    if result.sample_ratio.is_mismatch:
        warn("sample_ratio_mismatch", "Users per arm do not fit the declared split: no number below is safe.")
    if result.contaminated_users:
        warn(
            "contamination",
            f"{numbers.count(result.contaminated_users)} users were in more than one arm and are left out.",
        )
    if result.requests_without_arm:
        share = numbers.percent(result.requests_without_arm / max(1, result.requests))
        warn(
            "requests_without_arm",
            f"{numbers.count(result.requests_without_arm)} requests ({share}) have no arm here.",
        )
    if result.power is not None and result.power.power < 0.8:
        warn(
            "low_power",
            f"An effect of {numbers.number(result.power.effect)} on {result.power.metric} is found with a "
            f"chance of {numbers.percent(result.power.power)}; "
            f"{numbers.count(result.power.users_per_arm_needed)} users per arm would make that 80 %.",
        )
    if joins is not None:
        for code, value, words in (
            ("duplicates", joins.exposure_duplicates + joins.outcome_duplicates, "records are copies"),
            ("retries", joins.exposure_retries, "exposures are of a request that was sent again"),
            (
                "conflicts",
                joins.exposure_conflicts,
                "exposures share a request with another; the first counts",
            ),
            ("before_exposure", joins.outcomes_before_exposure, "outcomes lie before their exposure"),
            ("request_in_two_arms", joins.requests_in_two_arms, "requests were assigned to two arms"),
        ):
            if value:
                warn(code, f"{numbers.count(value)} {words}.")
    return found


def _guardrail_words(rail: Guardrail) -> str:
    write = numbers.signed_percent if rail.is_relative else numbers.signed
    return (
        f"harm at most {write(rail.test.upper_bound)} with {numbers.confidence(rail.test.level)} confidence, "
        f"allowed {write(rail.test.margin)}"
    )
