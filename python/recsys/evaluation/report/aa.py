"""The story of an A/A check: does the analysis find differences where there are none?"""

from __future__ import annotations

from msgspec import Struct

from recsys.contracts.reports import Report
from recsys.evaluation.aa import P_VALUE_BINS, AaCheck
from recsys.evaluation.joins import JoinCounts
from recsys.evaluation.report import numbers
from recsys.evaluation.report.charts import Effect, forest, histogram
from recsys.evaluation.report.story import Badge, Column, Fact, Section, Story, Table, number_columns
from recsys.evaluation.report.verdicts import verdict_badge


class AaMetric(Struct, frozen=True, kw_only=True):
    """One metric: its value over all users, and the check."""

    name: str
    value: float
    check: AaCheck


class AaPayload(Struct, frozen=True, kw_only=True):
    """``aa_check`` in the report."""

    metrics: list[AaMetric]
    joins: JoinCounts | None = None


def aa_story(report: Report, payload: AaPayload) -> Story:
    """Return the story; the verdict is that of all metrics together."""
    first = payload.metrics[0].check
    broken = [metric.name for metric in payload.metrics if not metric.check.is_sound]
    headline = (
        f"The analysis finds differences where there are none for {', '.join(broken)}: do not trust it there."
        if broken
        else f"Over {numbers.count(first.splits)} random splits the analysis errs as often as it says."
    )
    columns = (
        Column("metric"),
        *number_columns("value", "users", "false positives", "99 % interval", "distance", "p (uniform)"),
        Column("verdict"),
    )
    return Story(
        title="A/A check",
        verdict=verdict_badge(report),
        headline=headline,
        facts=(
            Fact("splits", numbers.count(first.splits)),
            Fact("users", numbers.count(max(metric.check.users for metric in payload.metrics))),
            Fact("level of the test", f"{first.alpha:g}", "false positives it should have"),
        ),
        lead=forest(
            "False positives of each metric, with 99 % intervals",
            [
                Effect(
                    metric.name,
                    metric.check.false_positive_rate,
                    metric.check.low,
                    metric.check.high,
                    "plain" if metric.check.is_sound else "bad",
                )
                for metric in payload.metrics
            ],
            is_percent=True,
            is_signed=False,
            unit="share of splits with a significant difference; the dashed line is the level",
            reference=first.alpha,
        ),
        sections=(
            Section(
                "Metrics",
                (
                    "Users are split in random halves, again and again, and the metric is tested each time. "
                    "A sound analysis gives uniform p-values. A metric that a few users dominate does not: "
                    "winsorise it.",
                ),
                tuple(
                    histogram(
                        f"{metric.name}: p-values of the splits",
                        [step / P_VALUE_BINS for step in range(P_VALUE_BINS + 1)],
                        metric.check.p_value_counts,
                        counted="splits",
                        label="p-value",
                    )
                    for metric in payload.metrics
                ),
                (
                    Table(
                        "The check of each metric", columns, tuple(_row(metric) for metric in payload.metrics)
                    ),
                ),
            ),
        ),
    )


def _row(metric: AaMetric) -> tuple[str | Badge, ...]:
    check = metric.check
    return (
        metric.name,
        numbers.number(metric.value),
        numbers.count(check.users),
        numbers.percent(check.false_positive_rate),
        f"{numbers.percent(check.low)} to {numbers.percent(check.high)}",
        numbers.number(check.uniformity_distance),
        numbers.p_value(check.uniformity_p_value),
        Badge("sound", "good") if check.is_sound else Badge("unsound", "bad"),
    )
