"""``recsys eval offline``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from recsys.cli.console import OK, JsonFlag, print_json, print_table, print_warning, stdout
from recsys.cli.eval_inputs import NO_LOGS, LogOptions
from recsys.cli.eval_replay import ReplayOptions, ranked_again
from recsys.cli.releases import IN_DATA_FOLDER, RegistryOptions
from recsys.contracts.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recsys.contracts.reports import MetricValue, OfflineReport, Report
    from recsys.evaluation.offline import OfflineResult, System

_Several = Parameter(consume_multiple=True, negative="")


@Parameter(name="*")
@dataclass(frozen=True)
class MetricOptions:
    """What is measured."""

    k: Annotated[tuple[int, ...], _Several, Parameter(help="Cut-offs; the first is the headline's.")] = (
        10,
        5,
        20,
    )
    relevance: Annotated[
        Literal["click", "conversion", "any"], Parameter(help="The outcomes that make an item relevant.")
    ] = "any"
    precision_at_k: Annotated[
        bool, Parameter(negative="", help="Divide precision by k, not by the length of the list.")
    ] = False
    since: Annotated[str | None, Parameter(help="Evaluate requests from this time on (time split).")] = None
    until: Annotated[str | None, Parameter(help="Evaluate requests before this time.")] = None
    slice: Annotated[
        tuple[str, ...],
        _Several,
        Parameter(help="Context keys, a+b for a combination (default: each that has up to 50 values)."),
    ] = ()
    min_slice: Annotated[int, Parameter(help="The fewest cases that a slice needs.")] = 100
    items: Annotated[
        Path | None,
        Parameter(help="Catalog (item_id, tags) for coverage and diversity: Parquet, JSON Lines, CSV."),
    ] = None
    replicates: Annotated[int, Parameter(help="Replicates of the bootstrap by user.")] = 1000
    confidence: Annotated[float, Parameter(help="Confidence of the intervals.")] = 0.95
    seed: Annotated[int, Parameter(help="Seed of the bootstrap.", validator=Number(gte=0))] = 0


_METRICS = MetricOptions()
_REPLAY = ReplayOptions()


def run_offline(
    *,
    given: LogOptions = NO_LOGS,
    baseline: str = "logged",
    candidate: str | None = None,
    metrics: MetricOptions = _METRICS,
    replay: ReplayOptions = _REPLAY,
    releases: RegistryOptions = IN_DATA_FOLDER,
    out: Path | None = None,
    json: JsonFlag = False,
) -> int:
    """Score ranked lists by what users did, and compare a candidate with a baseline on the same requests.

    A system is `logged` (the lists that were served), `file:RANKLIST` (a ranklist.v1 log), or ranked again
    for each request with outcomes: `signal:NAME` (alone, built-in settings), `mode:NAME` (of the current
    release), `manifest:VERSION`, `config:VERSION`. Its anchors are the user's outcomes before the request.

    Parameters
    ----------
    baseline
        The system to compare with.
    candidate
        The system to judge; without one the baseline is scored alone.
    out
        A folder for report.json, report.md and report.html.
    """
    from recsys.evaluation.offline import OfflinePlan, as_utc, evaluate_offline

    given.require(("exposures", "outcomes"))
    plan = OfflinePlan(
        ks=metrics.k,
        relevance=metrics.relevance,
        slices=metrics.slice or None,
        min_slice=metrics.min_slice,
        precision_at_k=metrics.precision_at_k,
        level=metrics.confidence,
        replicates=metrics.replicates,
        seed=metrics.seed,
        since=as_utc(metrics.since, "--since") if metrics.since else None,
        until=as_utc(metrics.until, "--until") if metrics.until else None,
        window=given.attribution_window(),
    )
    plan.check()
    names = [name for name in (baseline, candidate) if name is not None]
    with ranked_again(names, given, plan, replay, releases) as lists:
        systems = [_system(name, lists) for name in names]
        result = evaluate_offline(
            given.logs(),
            systems[0],
            systems[1] if candidate else None,
            plan,
            items=metrics.items,
            memory=given.memory,
            tenant=replay.tenant,
        )
    report = make_report(
        given, metrics, {"tenant": replay.tenant, "baseline": baseline, "candidate": candidate}, result
    )
    if out is not None:
        from recsys.evaluation.report.offline import offline_story
        from recsys.evaluation.report.write import write_report

        files = write_report(out, report, offline_story(report, result.payload))
    if json:
        print_json(report)
        return OK
    show_report(report, result.payload)
    if out is not None:
        stdout().print(f"report: {files.html}", soft_wrap=True)
    return OK


def _system(name: str, lists: Mapping[str, Path]) -> System:
    from recsys.evaluation.offline import LOGGED, System

    kind, _, value = name.partition(":")
    if name == LOGGED:
        return System(name)
    if name in lists:
        return System(name, (str(lists[name]),), is_temporary=True)
    if kind == "file" and value:
        return System(f"file:{value.rstrip('/').rpartition('/')[2]}", (value,))
    raise UsageError(f"{name!r} is no system: give logged, file:, signal:, mode:, manifest: or config:…")


def make_report(
    given: LogOptions, metrics: MetricOptions, systems: dict[str, str | None], result: OfflineResult
) -> Report:
    """Return the report of a measurement, with every option that could change a number."""
    from msgspec.structs import replace

    from recsys.evaluation.report.provenance import new_report

    report = new_report(
        "offline",
        cases=result.cases,
        inputs=result.inputs,
        settings={
            **systems,
            "window": given.window,
            "k": list(metrics.k),
            "relevance": metrics.relevance,
            "precision_divides_by": result.payload.precision_divides_by,
            "since": metrics.since,
            "until": metrics.until,
            "slice": list(metrics.slice),
            "min_slice": metrics.min_slice,
            "items": str(metrics.items) if metrics.items else None,
            "replicates": metrics.replicates,
            "confidence": metrics.confidence,
        },
        warnings=result.warnings,
        seed=metrics.seed,
    )
    return replace(report, offline=result.payload)


def show_report(report: Report, payload: OfflineReport) -> None:
    """Print systems side by side, differences, and what to know before trusting a number."""
    cases = f"{report.summary.cases_evaluated:,} of {payload.requests or 0:,} requests have a relevant item"
    stdout().print(f"{cases} ({payload.relevance}); {payload.users or 0:,} users")
    names = [system.system for system in payload.systems]
    for role, name in zip(("baseline", "candidate"), names, strict=False):
        stdout().print(f"{role}: {name}", soft_wrap=True)
    values = {(s.system, m.metric, m.k): m.value for s in payload.systems for m in s.metrics}
    gaps = {(row.metric, row.k): row for row in payload.comparison}
    rows = []
    for metric in payload.systems[0].metrics:
        key = (metric.metric, metric.k)
        label = metric.metric if metric.k is None else f"{metric.metric}@{metric.k}"
        row: list[object] = [label, *(values[name, *key] for name in names)]
        if payload.comparison:
            gap = gaps.get(key)
            row += (
                [gap.difference, f"{gap.ci_low:+.4g} to {gap.ci_high:+.4g}", gap.p_value_holm]
                if gap
                else [None] * 3
            )
        rows.append(row)
    head = ["metric", *("baseline", "candidate")[: len(names)]]
    print_table([*head, "difference", "interval", "p (Holm)"] if payload.comparison else head, rows)
    _show_slices(payload, names)
    divides = "the length of the list" if payload.precision_divides_by == "list_length" else "k"
    stdout().print(f"precision divides by {divides}; popularity from {payload.popularity_from}")
    for warning in report.warnings:
        print_warning(f"{warning.code}: {warning.detail}")


def _show_slices(payload: OfflineReport, names: list[str]) -> None:
    """Print the headline's metric by slice, systems side by side."""
    found: dict[tuple[str, str], dict[str, MetricValue]] = {}
    for row in payload.slices:
        label = ("+".join(row.dimensions), ", ".join(row.dimensions.values()))
        found.setdefault(label, {})[row.system] = row.metrics[0]
    if not found:
        return
    first = payload.slices[0].metrics[0]
    rows = [
        (*label, metrics[names[0]].n, *(metrics[name].value for name in names))
        for label, metrics in found.items()
    ]
    columns = ["slice", "value", "cases", *("baseline", "candidate")[: len(names)]]
    print_table(columns, rows, title=f"{first.metric}@{first.k}")
    if payload.slices_below_minimum:
        stdout().print(f"{payload.slices_below_minimum:,} slices are too small to show")
