"""The story of an off-policy evaluation: what the target would earn, and whether these logs can say so."""

from __future__ import annotations

from msgspec import Struct

from recsys.contracts.reports import Report
from recsys.evaluation.joins import JoinCounts
from recsys.evaluation.ope.clipping import ClippingCost
from recsys.evaluation.ope.diagnostics import Diagnostics
from recsys.evaluation.ope.estimate import OpeEstimate
from recsys.evaluation.report import numbers
from recsys.evaluation.report.charts import Effect, forest, funnel, histogram
from recsys.evaluation.report.story import Badge, Chart, Column, Fact, Section, Story, Table, number_columns

LEADS = ("dr", "snips", "cascade_dr", "reward_interaction_ips")
"""Whose value is the headline: the first of these that was estimated."""


class WeightHistogram(Struct, frozen=True, kw_only=True):
    """Counts of importance weights between ``edges``; ``above`` of them lie beyond, and count in the last."""

    edges: list[float]
    counts: list[int]
    above: int


class OpePayload(Struct, frozen=True, kw_only=True):
    """``ope`` in the report. Values are rewards per ``unit``; ``observed`` is that of what was served."""

    unit: str
    reward: str
    observed: OpeEstimate
    estimates: list[OpeEstimate]
    left_out: dict[str, str]
    diagnostics: Diagnostics
    clipping: ClippingCost | None
    weights: WeightHistogram
    joins: JoinCounts | None = None

    @property
    def lead(self) -> OpeEstimate | None:
        """Return the estimate of the headline."""
        found = {estimate.estimator: estimate for estimate in self.estimates}
        return next((found[name] for name in LEADS if name in found), None)


def ope_story(_report: Report, payload: OpePayload) -> Story:
    """Return the story; without trouble in the diagnostics the verdict is that it was measured."""
    diagnostics, lead = payload.diagnostics, payload.lead
    facts = [
        Fact(f"served, per {payload.unit}", numbers.number(payload.observed.value), "what was observed"),
        Fact(
            f"rows ({payload.unit}s)",
            numbers.count(diagnostics.rows),
            f"{numbers.count(payload.observed.users)} users",
        ),
        Fact("effective rows", numbers.count(round(diagnostics.effective_rows)), "what the weights leave"),
        Fact("mean weight", numbers.number(diagnostics.mean_weight), "should be 1"),
    ]
    if lead is not None:
        facts.insert(0, Fact(f"target, per {payload.unit}", numbers.number(lead.value), lead.estimator))
    is_sound = not diagnostics.advice and lead is not None
    return Story(
        title=f"Value of the target policy, in {payload.reward}s per {payload.unit}",
        verdict=Badge("Measured") if is_sound else Badge("Take care", "caution"),
        headline=_headline(payload),
        facts=tuple(facts),
        lead=_chart(payload) if payload.estimates else None,
        sections=tuple(part for part in (_estimates(payload), _weights(payload), _joins(payload)) if part),
    )


def _headline(payload: OpePayload) -> str:
    lead, observed = payload.lead, payload.observed
    if lead is None:
        return "No estimator can answer from these logs: read below why."
    holds = lead.low <= observed.value <= lead.high
    words = "holds what was observed: no difference is shown" if holds else "leaves out what was observed"
    return (
        f"The target would earn {numbers.number(lead.value)} per {payload.unit} by {lead.estimator}, where "
        f"{numbers.number(observed.value)} was observed. The interval, {numbers.number(lead.low)} to "
        f"{numbers.number(lead.high)}, {words}."
    )


def _chart(payload: OpePayload) -> Chart:
    rows = [*payload.estimates, payload.observed]
    return forest(
        "Value by estimator, beside what was observed",
        [Effect(row.estimator, row.value, row.low, row.high, "plain") for row in rows],
        unit=f"{payload.reward}s per {payload.unit}; the dashed line is what was observed",
        reference=payload.observed.value,
        is_signed=False,
    )


def _estimates(payload: OpePayload) -> Section:
    rows = tuple(
        (
            row.estimator,
            numbers.number(row.value),
            numbers.number(row.standard_error),
            numbers.number(row.low),
            numbers.number(row.high),
        )
        for row in (*payload.estimates, payload.observed)
    )
    columns = (Column("estimator"), *number_columns("value", "standard error", "low", "high"))
    tables = [Table(f"Reward per {payload.unit}", columns, rows)]
    if payload.left_out:
        tables.append(
            Table(
                "Left out",
                (Column("estimator"), Column("why")),
                tuple(sorted(payload.left_out.items())),
            )
        )
    words = (
        "dm is the model's own answer: its interval leaves out the model's bias, so it is a check and no "
        "result."
        if payload.unit == "item"
        else "Which estimator holds depends on how people read a list: independent_ips when ranks do not "
        "matter to each other, the cascade ones when people read down, standard_ips always, if its width "
        "allows."
    )
    units = "Users are the independent units of the intervals."
    return Section("Estimates", (units, words), tables=tuple(tables))


def _weights(payload: OpePayload) -> Section:
    found = payload.diagnostics
    chart = histogram(
        "Importance weights",
        payload.weights.edges,
        payload.weights.counts,
        counted="rows",
        label="target / logging propensity; the last bar holds what lies beyond",
        mark=1.0,
    )
    rows: list[tuple[str, str]] = [
        ("rows", numbers.count(found.rows)),
        ("rows set aside (no usable propensity)", numbers.count(found.rows_set_aside)),
        ("effective rows", numbers.number(found.effective_rows)),
        ("mean weight", numbers.number(found.mean_weight)),
        ("99 % interval, low", numbers.number(found.mean_weight_low)),
        ("99 % interval, high", numbers.number(found.mean_weight_high)),
        ("largest weight", numbers.number(found.largest_weight)),
        ("share of the largest", numbers.percent(found.largest_row_share)),
        ("rows that the target never shows", numbers.percent(found.zero_weight_share)),
    ]
    if payload.clipping is not None:
        rows += [
            ("weights cut at", numbers.number(payload.clipping.max_weight)),
            ("rows cut", numbers.count(payload.clipping.rows_clipped)),
            ("mean weight removed", numbers.number(payload.clipping.weight_removed)),
            ("bias that cutting puts into IPS", numbers.number(payload.clipping.value_removed)),
        ]
    table = Table("Diagnostics", (Column("measure"), Column("value", is_number=True)), tuple(rows))
    words = found.advice or ["Nothing speaks against these logs: the mean weight is 1 within its error."]
    return Section(
        "Overlap", tuple(f"{line[0].upper()}{line[1:].rstrip('.')}." for line in words), (chart,), (table,)
    )


def _joins(payload: OpePayload) -> Section | None:
    if payload.joins is None:
        return None
    joins = payload.joins
    steps = [
        ("outcomes", joins.outcomes),
        ("match an exposure", joins.outcomes_matched),
        ("within the window", joins.outcomes_in_window),
    ]
    return Section("Joins", charts=(funnel("From outcomes to credit", steps),))
