"""The story of an experiment: what the candidate changed, how sure that is, and where."""

from __future__ import annotations

from recsys.contracts.reports import Report
from recsys.evaluation.experiment_results import ExperimentResult, MetricResult
from recsys.evaluation.joins import JoinCounts
from recsys.evaluation.report import numbers
from recsys.evaluation.report.charts import Effect, forest, funnel, running, tone_of
from recsys.evaluation.report.experiment_quality import ExperimentPayload
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
from recsys.evaluation.report.verdicts import effect_badge, gates_in_words

_GUARDED: dict[str, Tone] = {"holds": "good", "broken": "bad", "inconclusive": "caution"}


def experiment_story(report: Report, payload: ExperimentPayload) -> Story:
    """Return the story; the headline is that of the primary metric, or of the first."""
    result = payload.result
    lead = result.metric(payload.primary_metric or "") or result.metrics[0]
    return Story(
        title=f"{result.candidate} against {result.control}",
        verdict=effect_badge(
            report, lead.absolute.low, lead.absolute.high, lower_is_better=lead.lower_is_better
        ),
        headline=gates_in_words(report) + _headline(lead),
        facts=_facts(result, payload.joins, lead),
        lead=_effects_chart(result),
        sections=tuple(
            section
            for section in (
                _effects(result),
                _guardrails(result),
                _over_time(lead),
                _slices(lead, result),
                _arms(result),
                _joins(payload.joins),
            )
            if section is not None
        ),
    )


def _headline(metric: MetricResult) -> str:
    gap = metric.absolute
    words = "and leaves out 0" if gap.low > 0.0 or gap.high < 0.0 else "and holds 0: no difference is shown"
    relative = f" ({numbers.signed_percent(metric.relative.value)})" if metric.relative else ""
    return (
        f"{metric.name} goes from {numbers.number(metric.control.value)} to "
        f"{numbers.number(metric.candidate.value)}: {numbers.signed(gap.value)}{relative}. The interval is "
        f"{numbers.interval(gap.low, gap.high)} {words}."
    )


def _facts(result: ExperimentResult, joins: JoinCounts | None, lead: MetricResult) -> tuple[Fact, ...]:
    observed = result.sample_ratio.observed
    users = f"{numbers.count(observed.get(result.control, 0))} and "
    users += numbers.count(observed.get(result.candidate, 0))
    facts = [
        Fact("users", numbers.count(sum(observed.values())), f"{users} in the two arms"),
        Fact("requests", numbers.count(result.requests)),
        Fact("sample ratio", f"p = {result.sample_ratio.p_value:.2g}", "users against the declared split"),
    ]
    if joins is not None and joins.join_rate is not None:
        facts.append(Fact("join rate", numbers.percent(joins.join_rate), "outcomes that have an exposure"))
    if lead.relative is not None:
        facts.append(
            Fact(
                lead.name,
                numbers.signed_percent(lead.relative.value),
                numbers.interval(lead.relative.low, lead.relative.high, is_percent=True),
            )
        )
    return tuple(facts)


def _tone(metric: MetricResult, low: float, high: float) -> Tone:
    return tone_of(-high, -low) if metric.lower_is_better else tone_of(low, high)


def _effects_chart(result: ExperimentResult) -> Chart:
    effects = []
    for metric in result.metrics:
        gap = metric.relative
        if gap is None:
            continue
        look = metric.looks[-1].always_valid if metric.looks else None
        scale = metric.control.value
        wide = (look.low / scale, look.high / scale) if look else None
        effects.append(
            Effect(metric.name, gap.value, gap.low, gap.high, _tone(metric, gap.low, gap.high), wide)
        )
    return forest(
        f"Relative effect of {result.candidate}, with {numbers.confidence(result.level)} intervals",
        effects,
        is_percent=True,
        unit="thick: fixed horizon; thin: valid at every look",
    )


def _effects(result: ExperimentResult) -> Section:
    columns = (
        Column("metric"),
        *number_columns(result.control, result.candidate, "difference", "interval", "p", "p (Holm)"),
    )
    rows = tuple(
        (
            metric.name,
            numbers.number(metric.control.value),
            numbers.number(metric.candidate.value),
            Badge(
                numbers.signed(metric.absolute.value),
                _tone(metric, metric.absolute.low, metric.absolute.high),
            ),
            numbers.interval(metric.absolute.low, metric.absolute.high),
            numbers.p_value(metric.absolute.p_value),
            numbers.p_value(metric.p_holm),
        )
        for metric in result.metrics
    )
    tables = [Table("Differences, candidate minus control", columns, rows), _definitions(result)]
    if any(metric.cuped for metric in result.metrics):
        tables.append(_adjusted(result))
    return Section(
        "Effects",
        (
            "The user is the unit. Detectable is the difference that these users show with a power of 80 %. "
            "Holm corrects for the family of metrics; BH bounds the share of false discoveries.",
        ),
        tables=tuple(tables),
    )


def _definitions(result: ExperimentResult) -> Table:
    is_capped = any(metric.cap for metric in result.metrics)
    return Table(
        "How each metric is made, and what could be found",
        (
            *text_columns("metric", "is", "test"),
            *number_columns("detectable", "p (BH)"),
            *(number_columns("capped at", "users capped") if is_capped else ()),
        ),
        tuple(
            (
                metric.name,
                f"{metric.numerator} / {metric.denominator}",
                metric.absolute.method,
                numbers.number(metric.minimum_detectable_effect),
                numbers.p_value(metric.p_benjamini_hochberg),
                *(_cap(metric) if is_capped else ()),
            )
            for metric in result.metrics
        ),
    )


def _cap(metric: MetricResult) -> tuple[str, str]:
    if metric.cap is None:
        return "", ""
    return numbers.number(metric.cap.value), numbers.count(metric.cap.users_capped)


def _adjusted(result: ExperimentResult) -> Table:
    return Table(
        "Adjusted by what users did before the start (CUPED)",
        (
            Column("metric"),
            *number_columns("difference", "interval", "p", "variance removed", "users seen before"),
        ),
        tuple(
            (
                metric.name,
                numbers.signed(metric.cuped.difference.value),
                numbers.interval(metric.cuped.difference.low, metric.cuped.difference.high),
                numbers.p_value(metric.cuped.difference.p_value),
                numbers.percent(metric.cuped.variance_reduction),
                numbers.count(metric.cuped.users_before),
            )
            for metric in result.metrics
            if metric.cuped
        ),
    )


def _guardrails(result: ExperimentResult) -> Section | None:
    if not result.guardrails:
        return None
    rows = []
    for name, rail in result.guardrails.items():
        write = numbers.signed_percent if rail.is_relative else numbers.signed
        rows.append(
            (
                name,
                numbers.number(rail.control),
                numbers.number(rail.candidate),
                write(rail.test.increase),
                write(rail.test.upper_bound),
                write(rail.test.margin),
                Badge(rail.test.verdict, _GUARDED[rail.test.verdict]),
            )
        )
    columns = (
        Column("guardrail"),
        *number_columns(result.control, result.candidate, "harm", "upper bound", "margin"),
        Column("verdict"),
    )
    words = (
        "A guardrail holds when the upper bound of the harm lies under its margin; it is broken when the "
        "lower bound lies above. Between the two the data do not say, which is not a pass."
    )
    return Section("Guardrails", (words,), tables=(Table("Non-inferiority", columns, tuple(rows)),))


def _over_time(metric: MetricResult) -> Section | None:
    if len(metric.looks) < 2:
        return None
    looks = [look.always_valid for look in metric.looks]
    chart = running(
        f"{metric.name}: what was known after each day",
        [look.day for look in metric.looks],
        [look.value for look in looks],
        [(look.low, look.high) for look in looks],
        [(look.fixed_low, look.fixed_high) for look in metric.looks],
    )
    days = forest(
        f"{metric.name}: each day alone",
        [Effect(day.day, day.effect.value, day.effect.low, day.effect.high) for day in metric.by_day],
        unit="difference",
    )
    words = [
        "The wide band holds at every look, so a test may stop as soon as it leaves out 0. The narrow one is "
        "for a single look at the planned end."
    ]
    if metric.trend is not None:
        words.append(
            f"The effect of single days moves by {numbers.signed(metric.trend.per_day)} a day "
            f"(p = {numbers.p_value(metric.trend.p_value)}); one that fades towards 0 speaks for novelty."
        )
    return Section("Over time", tuple(words), (chart, days) if metric.by_day else (chart,))


def _slices(metric: MetricResult, result: ExperimentResult) -> Section | None:
    if not metric.slices:
        return None
    effects = [
        Effect(
            f"{row.dimension}: {row.value}",
            row.effect.value,
            row.effect.low,
            row.effect.high,
            _tone(metric, row.effect.low, row.effect.high),
        )
        for row in metric.slices
    ]
    table = Table(
        f"{metric.name} by slice, largest first",
        (*text_columns("dimension", "value"), *number_columns("users", "difference", "interval", "p")),
        tuple(
            (
                row.dimension,
                row.value,
                numbers.count(row.control_users + row.candidate_users),
                numbers.signed(row.effect.value),
                numbers.interval(row.effect.low, row.effect.high),
                numbers.p_value(row.effect.p_value),
            )
            for row in metric.slices
        ),
    )
    words = ["Where to look next; with many slices, some leave out 0 by chance alone."]
    if result.slices_below_minimum:
        words.append(f"{numbers.count(result.slices_below_minimum)} slices have too few users to show.")
    return Section(
        "Slices",
        tuple(words),
        (forest(f"{metric.name}: difference by slice", effects, unit="difference"),),
        (table,),
    )


def _arms(result: ExperimentResult) -> Section:
    ratio = result.sample_ratio
    rows = [
        (arm, numbers.count(users), numbers.number(ratio.expected[arm]))
        for arm, users in ratio.observed.items()
    ]
    rows += [(arm, numbers.count(users), "not declared") for arm, users in ratio.undeclared.items()]
    fits = "do not fit" if ratio.is_mismatch else "fit"
    return Section(
        "Users and arms",
        (
            f"Users per arm {fits} the declared split (chi-squared {numbers.number(ratio.chi_squared)}, "
            f"p = {ratio.p_value:.2g}, a mismatch below {ratio.alpha:g}). "
            f"{numbers.count(result.contaminated_users)} users were seen in more than one arm and left out.",
        ),
        tables=(Table("Users per arm", (Column("arm"), *number_columns("users", "expected")), tuple(rows)),),
    )


def _joins(joins: JoinCounts | None) -> Section | None:
    if joins is None:
        return None
    chart = funnel(
        "From outcomes to credit",
        [
            ("outcomes", joins.outcomes),
            ("match an exposure", joins.outcomes_matched),
            ("within the window", joins.outcomes_in_window),
        ],
    )
    words = (
        f"{numbers.count(joins.exposures)} requests were exposed; "
        f"{numbers.count(joins.requests_with_outcome)} of them have an outcome."
    )
    return Section("Joins", (words,), (chart,))
