"""The offline evaluation: ranked lists scored by what users did, and a candidate compared with a baseline.

A case is an exposed request with a relevant outcome in the window (:mod:`recsys.evaluation.offline_cases`).
A system is the logged lists or a file of ranked lists; where it has no list for a case the list is empty,
which scores 0 and is warned of. Differences are paired by case, with intervals by a bootstrap of users and
p-values corrected by Holm over all that is compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import duckdb
import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from recsys.contracts.errors import EvaluationError
from recsys.contracts.reports import (
    InputFile,
    MetricValue,
    OfflineReport,
    PairedComparison,
    ReportWarning,
    SystemMetrics,
)
from recsys.evaluation.inputs import Role, open_inputs
from recsys.evaluation.joins import ALWAYS, DEFAULT_WINDOW, Join, open_join
from recsys.evaluation.joins_stage import Strict, stage_log
from recsys.evaluation.log_scan import Scan
from recsys.evaluation.logs import DEFAULT_MEMORY
from recsys.evaluation.offline_cases import (
    CaseLists,
    Cases,
    Relevance,
    find_cases,
    item_counts,
    lists_of,
)
from recsys.evaluation.offline_items import CatalogItems, read_items
from recsys.evaluation.offline_lists import Vocabulary, score_items
from recsys.evaluation.offline_metrics import MetricKey, score_lists
from recsys.evaluation.offline_slices import slice_metrics
from recsys.evaluation.ranking_metrics.judged import Floats
from recsys.evaluation.stats.multiple import holm
from recsys.evaluation.stats.paired_bootstrap import paired_bootstrap

_NO_DIFFERENCE = 1e-12
_MEMORY_OF_SLICES = "256MB"

LOGGED = "logged"
"""The system whose lists are those that were served."""


class OfflinePlan(Struct, frozen=True, kw_only=True):
    """What is measured: cut-offs ``ks`` (the first is the headline's), which outcomes are relevant, slices
    (names of context keys, several joined by ``+``), cases a slice needs, and the bootstrap.

    Only requests with ``since <= ts < until`` are cases; popularity is counted over outcomes before
    ``since``, over all without it. None as ``slices`` takes every context key that has few values.
    """

    ks: tuple[int, ...] = (10, 5, 20)
    relevance: Relevance = "any"
    slices: tuple[str, ...] | None = None
    min_slice: int = 100
    precision_at_k: bool = False
    persistence: float = 0.8
    level: float = 0.95
    replicates: int = 1000
    seed: int = 0
    since: datetime | None = None
    until: datetime | None = None
    window: timedelta = DEFAULT_WINDOW

    def check(self) -> None:
        """Raise EvaluationError for a plan that cannot be measured."""
        if not self.ks or any(not 1 <= k <= 1000 for k in self.ks) or len(set(self.ks)) < len(self.ks):
            raise EvaluationError(f"k: give different numbers from 1 to 1000, not {list(self.ks)}")
        if not 0.0 <= self.persistence < 1.0:
            raise EvaluationError(f"persistence lies in 0..1, 1 excluded; it is {self.persistence:g}")
        if self.min_slice < 1:
            raise EvaluationError(f"a slice needs at least 1 case, not {self.min_slice}")
        for name, moment in (("since", self.since), ("until", self.until)):
            if moment is not None and moment.tzinfo is None:
                raise EvaluationError(f"{name}: {moment.isoformat()} has no zone")


class System(NamedTuple):
    """A ranked system: its name in the report, and its ranked lists (paths and URLs), or none for the
    logged ones. The report names temporary files by the system, for their paths differ from run to run.
    """

    name: str
    ranklists: tuple[str, ...] = ()
    is_temporary: bool = False


class OfflineResult(NamedTuple):
    """The measurement, the number of cases, what was read, and what to know before trusting a number."""

    payload: OfflineReport
    cases: int
    inputs: list[InputFile]
    warnings: list[ReportWarning]


def evaluate_offline(
    logs: Mapping[Role, Sequence[str]],
    baseline: System,
    candidate: System | None,
    plan: OfflinePlan,
    *,
    items: Path | None = None,
    memory: str = DEFAULT_MEMORY,
    tenant: str | None = None,
) -> OfflineResult:
    """Return the metrics of ``baseline`` and, if any, ``candidate`` on the requests of ``logs``, and how
    they differ.

    ``items`` is a catalog (:mod:`recsys.evaluation.offline_items`); without one the catalog is every item
    seen, and there is no diversity. Raises EvaluationError when nothing can be evaluated, or a line is no
    record.
    """
    plan.check()
    systems = [baseline] if candidate is None else [baseline, candidate]
    if len({system.name for system in systems}) < len(systems):
        raise EvaluationError(f"baseline and candidate are both {baseline.name}")
    catalog = read_items(items) if items else None
    with (
        open_inputs(logs) as inputs,
        open_join(inputs, window=plan.window, memory=memory, with_names=False, tenant=tenant) as join,
    ):
        read = inputs.fingerprint()
        try:
            cases = find_cases(join.connection, plan.relevance, plan.since, plan.until)
            if not len(cases.users):
                if not join.staged["exposures"].lines:
                    raise EvaluationError("exposures: the files hold no line")
                hours = plan.window / timedelta(hours=1)
                raise EvaluationError(
                    f"no request of {cases.n_requests:,} has a relevant outcome within {hours:g} h"
                )
            lists: dict[str, CaseLists] = {}
            for number, system in enumerate(systems):
                with _source_of(join, system, f"ranked_{number}", read) as source:
                    lists[system.name] = lists_of(join.connection, source, f"lists_{number}", max(plan.ks))
            changed = inputs.find_changed()
            # What DuckDB keeps of the logs is not needed any more, and the metrics need the memory.
            join.connection.execute(f"SET memory_limit = '{_MEMORY_OF_SLICES}'")
            scores = _score(join, cases, lists, catalog, plan)
            slices, below = slice_metrics(join.connection, scores.by_list, plan.slices, plan.min_slice)
        except duckdb.Error as error:
            raise EvaluationError(f"cannot evaluate the lists: {error}") from error
    payload = OfflineReport(
        precision_divides_by="k" if plan.precision_at_k else "list_length",
        relevance=plan.relevance,
        systems=[
            SystemMetrics(
                system.name,
                [
                    *_means(scores.by_list[system.name]),
                    *(
                        MetricValue(name, k, value, len(cases.users))
                        for (name, k), value in scores.overall[system.name].items()
                    ),
                ],
            )
            for system in systems
        ],
        slices=slices,
        slices_below_minimum=below,
        comparison=[] if candidate is None else _compare(cases, scores, baseline, candidate, plan),
        requests=cases.n_requests,
        users=int(cases.users.max()) + 1,
        popularity_from="outcomes before since" if plan.since else "all outcomes",
        catalog_from="items file" if catalog else "items seen",
    )
    return OfflineResult(payload, len(cases.users), read, _warnings(systems, lists, changed, plan))


class _Scores(NamedTuple):
    by_list: dict[str, dict[MetricKey, Floats]]
    overall: dict[str, dict[MetricKey, float]]


@contextmanager
def _source_of(join: Join, system: System, table: str, read: list[InputFile]) -> Iterator[str]:
    """Yield the table of a system's lists; what is read for it is added to ``read``."""
    if not system.ranklists:
        yield "exposures"
        return
    scan = Scan(Strict(), lambda _: None, *ALWAYS, with_names=False)
    with open_inputs({"ranklists": system.ranklists}) as inputs:
        stage_log(join.connection, scan, "ranklists", inputs.of("ranklists"), table)
        files = inputs.fingerprint()
        read += [replace(file, name=system.name) for file in files] if system.is_temporary else files
        yield table


def _score(
    join: Join,
    cases: Cases,
    lists: dict[str, CaseLists],
    catalog: CatalogItems | None,
    plan: OfflinePlan,
) -> _Scores:
    counted = item_counts(join.connection, plan.since)
    vocabulary = Vocabulary.of([found.items for found in lists.values()], counted, catalog)
    by_list: dict[str, dict[MetricKey, Floats]] = {}
    overall: dict[str, dict[MetricKey, float]] = {}
    for name, found in lists.items():
        judged = score_lists(
            found.lengths,
            found.hits,
            cases.relevant,
            ks=plan.ks,
            divide_by_k=plan.precision_at_k,
            persistence=plan.persistence,
        )
        of_items, overall[name] = score_items(found, vocabulary, max(plan.ks))
        by_list[name] = judged | of_items
    return _Scores(by_list, overall)


def _means(by_list: dict[MetricKey, Floats]) -> list[MetricValue]:
    return [MetricValue(name, k, float(values.mean()), len(values)) for (name, k), values in by_list.items()]


def _compare(
    cases: Cases, scores: _Scores, baseline: System, candidate: System, plan: OfflinePlan
) -> list[PairedComparison]:
    before, after = scores.by_list[baseline.name], scores.by_list[candidate.name]
    gaps = paired_bootstrap(
        (_difference(before[key], after[key]) for key in before),
        cases.users,
        level=plan.level,
        replicates=plan.replicates,
        seed=plan.seed,
    )
    adjusted = holm(np.array([gap.p_value for gap in gaps]))
    return [
        PairedComparison(
            metric=name,
            k=k,
            baseline=float(before[name, k].mean()),
            candidate=float(after[name, k].mean()),
            difference=gap.value,
            ci_low=gap.low,
            ci_high=gap.high,
            confidence=plan.level,
            p_value=gap.p_value,
            p_value_holm=float(adjusted[place]),
            users=int(cases.users.max()) + 1,
        )
        for place, ((name, k), gap) in enumerate(zip(before, gaps, strict=True))
    ]


def _difference(before: Floats, after: Floats) -> Floats:
    """Return ``after - before``; the same items in another order sum to another last bit, which is none."""
    difference = after - before
    difference[np.abs(difference) < _NO_DIFFERENCE] = 0.0
    return difference


def _warnings(
    systems: list[System], lists: dict[str, CaseLists], changed: list[str], plan: OfflinePlan
) -> list[ReportWarning]:
    found = []
    for system in systems:
        missing, n = lists[system.name].missing, len(lists[system.name].lengths)
        if missing:
            detail = f"{system.name} has no list for {missing:,} of {n:,} cases; they count as empty lists"
            found.append(ReportWarning("LISTS_MISSING", detail))
    if len(systems) == 2 and any(not system.ranklists for system in systems) and lists[LOGGED].hits[0].size:
        detail = (
            "outcomes follow from the lists that were shown: the logged system is favoured, and it takes an "
            "experiment or an off-policy estimate to tell what another would have earned"
        )
        found.append(ReportWarning("LOGGED_LISTS_FAVOURED", detail))
    if plan.since is None:
        detail = "popularity is counted over the outcomes that are evaluated; give --since for a time split"
        found.append(ReportWarning("NO_TIME_SPLIT", detail))
    found += [ReportWarning("INPUT_CHANGED", f"{name} changed while it was read") for name in changed]
    return found


def as_utc(text: str, option: str) -> datetime:
    """Return a date or time; one without a zone is in UTC. Raises EvaluationError naming ``option``."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise EvaluationError(f"{option}: {text!r} is not a time such as 2026-01-31T12:00:00Z") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
