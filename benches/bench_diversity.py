"""What MMR and caps make of lists on the retail data: length, likeness within a list, score and hits.

``python -m benches.bench_diversity [--baskets N] [--page FILE]``: popularity and co-visitation of weeks 1 to
48 in the default blend, lists of 20 for baskets of weeks 49 to 53, each with the items of the household's
basket before as anchors. Likeness is the mean over the pairs of a list: of content as MMR takes it (Jaccard
over tags, brand and category), and of co-visitation (cosine over baskets; 0 where neither item has the other
among its first 100), which MMR does not see. The score is that of all items beside that of lambda 1 without
caps. ``--page`` replaces the table of a document.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq

from benches.bench_accuracy import Case, K, Signals, find_cases, plan_of
from recsys._native import Catalog, Signal
from recsys.contracts.config import Ranking
from recsys.demo.retail import RetailData, catalog_of, interactions_of, load_retail_data
from recsys.pipelines.build.catalog import build_catalog
from recsys.pipelines.build.cooc import CoocOptions, build_cooc
from recsys.pipelines.build.popularity import PopularityOptions, build_popularity
from recsys.pipelines.build.request import BuildInput, parse_duration
from recsys.pipelines.input.files import find_input_files
from recsys.ranking.reference import jaccard

LAMBDAS = (1.0, 0.9, 0.7, 0.5, 0.3)
CAPS: tuple[tuple[int | None, int | None], ...] = ((None, None), (3, None), (None, 2), (3, 2))
NEIGHBOURS = 100
MARKER = re.compile(r"(<!-- diversity -->\n).*?(<!-- end -->)", re.DOTALL)


class Setting(NamedTuple):
    """What is varied: MMR's lambda, and the caps."""

    mmr_lambda: float
    brand_cap: int | None = None
    category_cap: int | None = None


class Measured(NamedTuple):
    """Means over the lists of one setting; ``shortest`` is the length of the shortest list."""

    setting: Setting
    shortest: int
    content: float
    cooc: float
    brands: float
    categories: float
    most_of_brand: int
    most_of_category: int
    score: float
    hit_rate: float


class Likeness:
    """Similarities of pairs of items, each worked out once."""

    def __init__(self, catalog: Catalog, cooc: Signal) -> None:
        self._catalog = catalog
        self._cooc = cooc
        self.labels = cache(self._labels)
        self._features = cache(self._features_of)
        self._neighbours = cache(self._neighbours_of)
        self._content = cache(self._content_of)

    def content(self, items: Sequence[str]) -> float:
        """Return the mean Jaccard similarity over the pairs of a list."""
        return _mean(self._content(*sorted(pair)) for pair in combinations(items, 2))

    def cooc(self, items: Sequence[str]) -> float:
        """Return the mean cosine over the pairs of a list."""
        return _mean(
            max(self._neighbours(a).get(b, 0.0), self._neighbours(b).get(a, 0.0))
            for a, b in combinations(items, 2)
        )

    def _labels(self, item_id: str) -> tuple[str | None, str | None]:
        item = self._catalog.item(item_id)
        return (None, None) if item is None else (item.brand, item.category)

    def _features_of(self, item_id: str) -> set[tuple[str, str]]:
        item = self._catalog.item(item_id)
        if item is None:
            return set()
        features = {("tag", tag) for tag in item.tags}
        features |= {("brand", item.brand)} if item.brand else set()
        return features | ({("category", item.category)} if item.category else set())

    def _neighbours_of(self, item_id: str) -> dict[str, float]:
        return dict(self._cooc.ranked(self._catalog, item_id, NEIGHBOURS) or [])

    def _content_of(self, a: str, b: str) -> float:
        return jaccard(self._features(a), self._features(b))


def build(data: RetailData, folder: Path) -> tuple[Catalog, Signals]:
    """Return a catalog of all items, and the signals of the demo from the interactions of ``data``."""
    pq.write_table(catalog_of(data), folder / "items.parquet")
    pq.write_table(interactions_of(data), folder / "interactions.parquet")
    build_catalog(BuildInput(find_input_files([folder / "items.parquet"])), folder / "catalog.rsa")
    catalog = Catalog.open(str(folder / "catalog.rsa"))
    given = BuildInput(find_input_files([folder / "interactions.parquet"]))
    options = PopularityOptions(half_life_ms=parse_duration("28d"))
    build_popularity(catalog, given, folder / "popularity.rsa", options)
    cooc = CoocOptions(normalization="cosine", min_support=5, top_n=NEIGHBOURS)
    build_cooc(catalog, given, folder / "cooc.rsa", cooc)
    names = ("popularity", "cooc")
    return catalog, {name: Signal.open(str(folder / f"{name}.rsa")) for name in names}  # type: ignore[misc]


def measure(
    catalog: Catalog, signals: Signals, cases: Sequence[Case], settings: Iterable[Setting]
) -> list[Measured]:
    """Rank every case by every setting; the score is beside that of the first."""
    likeness, results, score_of_first = Likeness(catalog, signals["cooc"]), [], 0.0
    for setting in settings:
        plan = plan_of(catalog, signals, "blend", Ranking(**setting._asdict()))
        lists = [plan.rank(K, case.now_ms, anchors=case.anchors) for case in cases]
        score = sum(sum(one.scores) for one in lists)
        score_of_first = score_of_first or score
        items = [one.item_ids for one in lists]
        labels = [[likeness.labels(item) for item in one] for one in items]
        brands, categories = ([[pair[at] for pair in one if pair[at]] for one in labels] for at in (0, 1))
        results.append(
            Measured(
                setting,
                shortest=min(len(one) for one in items),
                content=_mean(likeness.content(one) for one in items),
                cooc=_mean(likeness.cooc(one) for one in items),
                brands=_mean(len(set(one)) for one in brands),
                categories=_mean(len(set(one)) for one in categories),
                most_of_brand=max(_most(one) for one in brands),
                most_of_category=max(_most(one) for one in categories),
                score=score / score_of_first,
                hit_rate=_mean(
                    not case.taken.isdisjoint(one) for case, one in zip(cases, items, strict=True)
                ),
            )
        )
    return results


def table_of(results: Sequence[Measured]) -> str:
    """Return the results as a Markdown table."""
    head = ("lambda", "brand cap", "category cap", "shortest list", "alike in content", "alike in baskets")
    head += ("brands", "categories", "most of a brand", "most of a category", "score", "hit rate")
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for one in results:
        caps = [str(cap or "") for cap in one.setting[1:]]
        figures = [f"{one.content:.3f}", f"{one.cooc:.3f}", f"{one.brands:.1f}", f"{one.categories:.1f}"]
        most = [str(one.most_of_brand), str(one.most_of_category)]
        cells = [f"{one.setting.mmr_lambda:g}", *caps, str(one.shortest), *figures, *most]
        lines.append("| " + " | ".join([*cells, f"{one.score:.3f}", f"{one.hit_rate:.3f}"]) + " |")
    return "\n".join(lines) + "\n"


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


def _most(labels: Sequence[str | None]) -> int:
    return max((labels.count(label) for label in set(labels)), default=0)


def main() -> None:
    """Build, rank, and print the table."""
    options = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    options.add_argument("--baskets", type=int, default=2_000)
    options.add_argument("--page", type=Path)
    chosen = options.parse_args()
    data = load_retail_data()
    cases = find_cases(data, 49, 53, chosen.baskets)
    with tempfile.TemporaryDirectory(prefix="recsys-diversity-") as scratch:
        catalog, signals = build(data.weeks(1, 48), Path(scratch))
        settings = [Setting(weight, *caps) for caps in CAPS for weight in LAMBDAS]
        table = table_of(measure(catalog, signals, cases, settings))
    print(f"{len(cases):,} baskets, lists of {K}\n{table}")
    if chosen.page is not None:
        chosen.page.write_text(MARKER.sub(rf"\g<1>{table}\g<2>", chosen.page.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
