"""How well each kind of signal, and a tuned blend, foresees the next basket of the retail data.

``python -m benches.bench_accuracy [--baskets N] [--page FILE]``: signals are built from weeks 1 to 48,
and lists of 20 are compared with the baskets of weeks 49 to 53. A request has the items of the
household's basket before as anchors (the last 50) and the household as user; anchors are never
recommended back, by any kind. Lists are as served: what a kind leaves empty is filled from popularity, and
how many items were its own is told. The hit rate is the share of baskets with at least one item of the
list, MRR the mean of 1/rank of the first. The search of past sessions, and the weights and normaliser of
the blend, are tuned on weeks 45 to 48, with signals from weeks 1 to 44. Whether a kind beats popularity is
told by the 95 % interval of the paired difference in MRR, by a bootstrap over households. ``--page``
replaces the table of a document.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import time
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from recsys._native import Catalog, Plan
from recsys.artifacts.inspect import open_lists
from recsys.contracts.config import Mode, Normalizer, Ranking, SessionKnn, SignalName, SignalWeights
from recsys.contracts.pipeline import PipelineSettings, SessionSeqSettings
from recsys.contracts.pseudonym import pseudonym
from recsys.demo.retail import RetailData, catalog_of, interactions_of, load_retail_data
from recsys.pipelines.build.catalog import build_catalog
from recsys.pipelines.build.request import BuildInput
from recsys.pipelines.input.files import find_input_files
from recsys.pipelines.input.mapping import ColumnMapping
from recsys.pipelines.kinds import KINDS, Resources
from recsys.ranking.plans import AnySignal, compile_plan

K = 20
MOST_ANCHORS = 50
DRAWS = 2_000
SALT = b"households are users"
TUNING_BASKETS = 1_500
WEIGHTS = (0.0, 0.05, 0.2, 1.0)
NORMALIZERS: tuple[Normalizer, ...] = ("saturating", "max")
MARKER = re.compile(r"(<!-- accuracy -->\n).*?(<!-- end -->)", re.DOTALL)

SETTINGS = PipelineSettings(session_seq=SessionSeqSettings(within="user", max_items_per_session=5_000))
"""The defaults, but for sequences: a basket has one time, so the steps are a household's baskets."""

SEARCHES = (SessionKnn(), SessionKnn(1502, 288, 4), SessionKnn(500, 500, 9))
"""How past sessions may be searched, from quick to broad."""

Signals = dict[SignalName, AnySignal]


class Case(NamedTuple):
    """One request and what was taken: the basket before, most recent first, and the next basket."""

    household: str
    now_ms: int
    anchors: list[str]
    taken: frozenset[str]


class Result(NamedTuple):
    """Reciprocal rank of the first hit of each case; 0 without one."""

    name: str
    reciprocal: NDArray[np.float64]
    own_items: float
    detail: str = ""


def build_signals(data: RetailData, catalog: Catalog, folder: Path) -> Signals:
    """Build every kind that pipelines know from a part of the data."""
    folder.mkdir()
    pq.write_table(interactions_of(data), folder / "interactions.parquet")
    given = BuildInput(find_input_files([folder / "interactions.parquet"]), ColumnMapping())
    signals: Signals = {}
    for kind, how in KINDS.items():
        started = time.perf_counter()
        how.build(catalog, given, folder / f"{kind}.rsa", SETTINGS, Resources(salt=SALT))
        signals[kind] = open_lists(folder / f"{kind}.rsa")  # type: ignore[index]
        print(f"built {kind} in {time.perf_counter() - started:.1f} s", flush=True)
    return signals


def find_cases(data: RetailData, first: int, last: int, most: int) -> list[Case]:
    """Return up to ``most`` baskets of some weeks, each with the basket of the household before it."""
    table = interactions_of(data.weeks(first - 8, last)).select(["ts", "session_id", "user_id", "item_id"])
    start = int(interactions_of(data.weeks(first, last))["ts"].cast("int64").to_numpy().min())
    baskets: dict[tuple[str, str], tuple[int, list[str]]] = {}
    for row in table.sort_by("ts").to_pylist():
        key = (row["user_id"], row["session_id"])
        moment = int(row["ts"].timestamp() * 1000)
        baskets.setdefault(key, (moment, []))[1].append(row["item_id"])
    before: dict[str, list[str]] = {}
    cases: list[Case] = []
    for (household, _), (moment, items) in sorted(baskets.items(), key=lambda one: one[1][0]):
        if moment >= start and household in before:
            anchors = list(dict.fromkeys(reversed(before[household])))[:MOST_ANCHORS]
            cases.append(Case(household, moment, anchors, frozenset(items)))
        before[household] = items
    chosen = np.random.default_rng(11).permutation(len(cases))[:most]
    return [cases[at] for at in sorted(chosen)]


def rank_all(plan: Plan, cases: list[Case]) -> tuple[NDArray[np.float64], float]:
    """Return the reciprocal rank of each case's first hit, and how many items of a list no rung gave."""
    found = np.zeros(len(cases))
    own_items = 0
    for at, case in enumerate(cases):
        ranked = plan.rank(K, case.now_ms, anchors=case.anchors, user=pseudonym(SALT, case.household))
        own_items += sum(not reasons[0].startswith("fallback:") for reasons in ranked.reasons)
        for rank, item_id in enumerate(ranked.item_ids, 1):
            if item_id in case.taken:
                found[at] = 1 / rank
                break
    return found, own_items / len(cases)


def plan_of(catalog: Catalog, signals: Signals, mode: Mode, ranking: Ranking) -> Plan:
    """Compile a mode without rules, for the segment over all."""
    return compile_plan(catalog, signals, ranking, mode=mode, segment="default", rules=None).plan


def tune_blend(catalog: Catalog, signals: Signals, cases: list[Case], search: SessionKnn) -> Ranking:
    """Return the weights and the normaliser with the best MRR."""
    best, chosen = -1.0, Ranking()
    has_emb = bool({"implicit", "content_sim"} & signals.keys())
    for normalizer, pop, cooc, emb in product(NORMALIZERS, WEIGHTS, WEIGHTS, WEIGHTS if has_emb else (0.0,)):
        if max(pop, cooc, emb) < 1.0 or pop + cooc + emb == 0:
            continue  # only ratios matter
        weights = SignalWeights(pop, cooc, emb)
        ranking = Ranking(weights=weights, normalizer=normalizer, session_knn=search)
        mrr = float(rank_all(plan_of(catalog, signals, "blend", ranking), cases)[0].mean())
        if mrr > best:
            best, chosen = mrr, ranking
    return chosen


def tune_search(catalog: Catalog, signals: Signals, cases: list[Case]) -> SessionKnn:
    """Return the search of past sessions with the best MRR."""

    def mrr(search: SessionKnn) -> float:
        ranking = Ranking(session_knn=search)
        return float(rank_all(plan_of(catalog, signals, "session_knn", ranking), cases)[0].mean())

    return max(SEARCHES, key=mrr)


def compare(result: Result, base: Result, cases: list[Case]) -> str:
    """Return the 95 % interval of the difference in MRR to ``base``, and what it says."""
    if result is base:
        return ""
    households = {name: number for number, name in enumerate(dict.fromkeys(case.household for case in cases))}
    owner = np.array([households[case.household] for case in cases])
    sums = np.bincount(owner, result.reciprocal - base.reciprocal, len(households))
    counts = np.bincount(owner, minlength=len(households))
    draws = np.random.default_rng(5).integers(0, len(households), (DRAWS, len(households)))
    low, high = np.percentile(sums[draws].sum(1) / counts[draws].sum(1), [2.5, 97.5])
    verdict = "yes" if low > 0 else "no" if high < 0 else "not told apart"
    return f"{verdict} ({low:+.4f} to {high:+.4f})"


def table_of(results: list[Result], cases: list[Case]) -> str:
    """Return the results as a Markdown table."""
    lines = [
        f"| kind | own items of {K} | hit rate at {K} | MRR at {K} "
        "| beats popularity (95 % interval of MRR minus its) |",
        "|---|---:|---:|---:|---|",
    ]
    for result in results:
        hits = (result.reciprocal > 0).mean()
        name = f"{result.name} {result.detail}".rstrip()
        verdict = compare(result, results[0], cases)
        mrr = result.reciprocal.mean()
        lines.append(f"| {name} | {result.own_items:.1f} | {hits:.4f} | {mrr:.4f} | {verdict} |")
    return "\n".join(lines) + "\n"


def _said_of(search: SessionKnn) -> str:
    return (
        f"(recent_sessions {search.recent_sessions}, neighbors {search.neighbors}, "
        f"last_items {search.last_items})"
    )


def main() -> None:
    """Build, tune, rank, and print the table."""
    options = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    options.add_argument("--baskets", type=int, default=5_000)
    options.add_argument("--page", type=Path)
    chosen = options.parse_args()
    data = load_retail_data()
    with tempfile.TemporaryDirectory(prefix="recsys-accuracy-") as scratch:
        folder = Path(scratch)
        pq.write_table(catalog_of(data), folder / "items.parquet")
        build_catalog(BuildInput(find_input_files([folder / "items.parquet"])), folder / "catalog.rsa")
        catalog = Catalog.open(str(folder / "catalog.rsa"))
        tuning = build_signals(data.weeks(1, 44), catalog, folder / "tuning")
        before = find_cases(data, 45, 48, TUNING_BASKETS)
        search = tune_search(catalog, tuning, before)
        blend = tune_blend(catalog, tuning, before, search)
        signals = build_signals(data.weeks(1, 48), catalog, folder / "test")
        cases = find_cases(data, 49, 53, chosen.baskets)
        results = [
            Result(
                kind,
                *rank_all(plan_of(catalog, signals, kind, Ranking(session_knn=search)), cases),  # type: ignore[arg-type]
                _said_of(search) if kind == "session_knn" else "",
            )
            for kind in signals
        ]
        weights = blend.weights
        detail = f"(pop {weights.pop:g}, cooc {weights.cooc:g}, emb {weights.emb:g}, {blend.normalizer})"
        results.append(
            Result("tuned blend", *rank_all(plan_of(catalog, signals, "blend", blend), cases), detail)
        )
    table = table_of(results, cases)
    print(f"{len(cases):,} baskets of {len({case.household for case in cases}):,} households\n{table}")
    if chosen.page is not None:
        chosen.page.write_text(MARKER.sub(rf"\g<1>{table}\g<2>", chosen.page.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
