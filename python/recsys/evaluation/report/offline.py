"""The story of an offline comparison: quality of one or two ranked systems, and what they differ by."""

from __future__ import annotations

from recsys.contracts.reports import MetricValue, OfflineReport, PairedComparison, Report, SliceMetrics
from recsys.evaluation.report import numbers
from recsys.evaluation.report.charts import MOST_ROWS, Effect, forest, slices, tone_of
from recsys.evaluation.report.story import (
    Badge,
    Chart,
    Column,
    Fact,
    Section,
    Story,
    Table,
    Tone,
    number_columns,
    text_columns,
)
from recsys.evaluation.report.verdicts import effect_badge, verdict_badge

_LOWER_IS_BETTER = frozenset({"popularity_bias"})


def offline_story(report: Report, payload: OfflineReport, *, title: str = "Offline comparison") -> Story:
    """Return the story; the first comparison, else the first metric, is the one of the headline."""
    systems = [system.system for system in payload.systems]
    return Story(
        title=title,
        verdict=_verdict(report, payload),
        headline=_headline(payload),
        facts=(
            Fact("lists", numbers.count(report.summary.cases_evaluated)),
            Fact("systems", numbers.count(len(systems)), _roles(systems)),
            Fact("relevant is", payload.relevance, "outcome that counts"),
            Fact("precision divides by", payload.precision_divides_by.replace("_", " ")),
        ),
        lead=_effects(payload.comparison),
        sections=tuple(section for section in (_metrics(payload), *_slices(payload)) if section.tables),
    )


def _roles(systems: list[str]) -> str:
    if len(systems) < 2:
        return ", ".join(systems)
    return f"{systems[1]} (candidate) against {systems[0]} (baseline)"


def _verdict(report: Report, payload: OfflineReport) -> Badge:
    if not payload.comparison:
        return verdict_badge(report)
    first = payload.comparison[0]
    if not _is_clear(first):
        return effect_badge(report, -1.0, 1.0)
    return effect_badge(report, first.difference, first.difference)


def _is_clear(row: PairedComparison) -> bool:
    return row.p_value_holm < 1.0 - row.confidence


def name_of(metric: MetricValue | PairedComparison) -> str:
    """Return the metric with its cut-off, such as ``ndcg@10``."""
    return metric.metric if metric.k is None else f"{metric.metric}@{metric.k}"


def _headline(payload: OfflineReport) -> str:
    if payload.comparison:
        first = payload.comparison[0]
        holds = "leaves out 0" if first.ci_low > 0.0 or first.ci_high < 0.0 else "holds 0"
        if holds == "leaves out 0" and not _is_clear(first):
            holds += (
                f", but among {numbers.count(len(payload.comparison))} comparisons chance does that: p = "
                f"{numbers.p_value(first.p_value_holm)} by Holm"
            )
        return (
            f"{name_of(first)} goes from {numbers.number(first.baseline)} to "
            f"{numbers.number(first.candidate)}: {numbers.signed(first.difference)}, "
            f"{numbers.confidence(first.confidence)} interval "
            f"{numbers.interval(first.ci_low, first.ci_high)}, which {holds}."
        )
    for system in payload.systems:
        for metric in system.metrics:
            return f"{system.system}: {name_of(metric)} is {numbers.number(metric.value)}."
    return "Nothing was measured."


def _effects(comparison: list[PairedComparison]) -> Chart | None:
    """Return the differences in units of the baseline's value, for metrics are shares, ranks and bits: on
    one axis of differences all but the largest would be dots at 0. A baseline of 0 has no such unit.
    """
    effects = [
        Effect(
            name_of(row),
            row.difference / row.baseline,
            row.ci_low / row.baseline,
            row.ci_high / row.baseline,
            _tone(row, row.ci_low, row.ci_high),
        )
        for row in comparison
        if row.baseline > 0.0
    ]
    if not effects:
        return None
    unit = "difference on the same requests, in percent of the baseline's value"
    return forest("Candidate against baseline", effects, is_percent=True, unit=unit)


def _tone(row: PairedComparison, low: float, high: float) -> Tone:
    return tone_of(-high, -low) if row.metric in _LOWER_IS_BETTER else tone_of(low, high)


def _metrics(payload: OfflineReport) -> Section:
    values = {
        (system.system, name_of(metric)): metric for system in payload.systems for metric in system.metrics
    }
    names = list(dict.fromkeys(name for _, name in values))
    systems = [system.system for system in payload.systems]
    rows = tuple(
        (
            name,
            *(
                numbers.number(values[system, name].value) if (system, name) in values else ""
                for system in systems
            ),
        )
        for name in names
    )
    tables = [Table("Metrics by system", (Column("metric"), *number_columns(*systems)), rows)]
    if payload.comparison:
        tables.append(
            Table(
                "Differences, with p-values corrected by Holm",
                (
                    Column("metric"),
                    *number_columns("difference", "interval", "p", "p (Holm)", "users"),
                    Column("reads as"),
                ),
                tuple(_compared(row) for row in payload.comparison),
            )
        )
    return Section("Metrics", tables=tuple(tables))


def _compared(row: PairedComparison) -> tuple[str | Badge, ...]:
    tone = _tone(row, row.difference, row.difference) if _is_clear(row) else "plain"
    word = {"good": "better", "bad": "worse"}.get(tone, "no call")
    return (
        name_of(row),
        numbers.signed(row.difference),
        numbers.interval(row.ci_low, row.ci_high),
        numbers.p_value(row.p_value),
        numbers.p_value(row.p_value_holm),
        numbers.count(row.users),
        Badge(word, tone),
    )


def _slices(payload: OfflineReport) -> list[Section]:
    if not payload.slices:
        return []
    groups: dict[tuple[str, ...], dict[str, dict[str, SliceMetrics]]] = {}
    for row in payload.slices:
        label = ", ".join(row.dimensions.values())
        groups.setdefault(tuple(row.dimensions), {}).setdefault(label, {})[row.system] = row
    charts, tables = [], []
    for dimensions, found in groups.items():
        name = " and ".join(dimensions)
        chart, table = _by_dimension(name, found, [system.system for system in payload.systems])
        charts.append(chart)
        tables.append(table)
    left_out = payload.slices_below_minimum
    note = f"{numbers.count(left_out)} slices are too small to show." if left_out else ""
    return [Section("Slices", (note,) if note else (), tuple(charts), tuple(tables))]


def _by_dimension(
    name: str, found: dict[str, dict[str, SliceMetrics]], systems: list[str]
) -> tuple[Chart, Table]:
    """Return chart and table of the first metric by the values of one dimension, largest slice first."""

    def first(row: SliceMetrics) -> MetricValue:
        return row.metrics[0]

    whole = {
        label: rows
        for label, rows in found.items()
        if set(rows) == set(systems) and first(rows[systems[0]]).n
    }
    order = sorted(whole, key=lambda label: (-first(whole[label][systems[0]]).n, label))
    metric = name_of(first(whole[order[0]][systems[0]])) if order else ""
    shown = order[: MOST_ROWS // 2]
    series = {system: [first(whole[label][system]).value for label in shown] for system in systems[:2]}
    chart = slices(f"{metric} by {name}", shown, series, unit=metric)
    rows = tuple(
        (
            label,
            numbers.count(first(whole[label][systems[0]]).n),
            *(numbers.number(first(whole[label][system]).value) for system in systems),
        )
        for label in order
    )
    columns = (*text_columns(name), *number_columns("lists", *systems))
    return chart, Table(f"{metric} by {name}, largest first", columns, rows)
