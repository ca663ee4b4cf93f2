"""Spark and the native builders make the same signals of the retail data.

Needs the extra `spark` and Java: `make spark` runs it, and the other targets do not collect it.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pyspark.sql import SparkSession
from tests.spark.retail_days import FIRST, LAST, prepare

from recsys._native import Catalog, Signal
from recsys.contracts.errors import BuildError, UsageError
from recsys.contracts.pipeline import CoocSettings, PipelineSettings, PopularitySettings
from recsys.pipelines.stages import build
from recsys.pipelines.workspace import Workspace
from recsys.spark.engine import spark_engine
from recsys.spark.session import spark_session

TOLERANCE = 1e-6
Lists = dict[str, dict[str, float]]


@pytest.fixture(scope="module")
def spark() -> Iterator[SparkSession]:
    with spark_session("local[2]") as session:
        yield session


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Some days of the retail data, ingested."""
    return prepare(tmp_path_factory.mktemp("retail"))


def lists(workspace: Workspace, kind: str) -> Lists:
    catalog = Catalog.open(str(workspace.artifact("catalog")))
    signal = Signal.open(str(workspace.artifact(kind)))
    if signal.key_type == "item":
        keys = [catalog.item_at(at).item_id for at, n in enumerate(signal.list_lengths()) if n]
    else:
        keys = signal.keys(0, signal.n_keys)
    return {key: dict(signal.ranked(catalog, key, catalog.n_items) or []) for key in keys}


def both(
    workspace: Workspace, spark: SparkSession, kind: str, settings: PipelineSettings
) -> tuple[Lists, Lists]:
    native = build(workspace, kind, FIRST, LAST, settings)
    ours = lists(workspace, kind)
    on_spark = build(workspace, kind, FIRST, LAST, settings, engine=spark_engine(spark))
    assert native.is_new
    assert on_spark.is_new
    return ours, lists(workspace, kind)


def check_same(native: Lists, spark: Lists) -> None:
    assert native.keys() == spark.keys()
    for key, expected in native.items():
        assert list(expected) == list(spark[key]), key
        assert spark[key] == pytest.approx(expected, rel=TOLERANCE, abs=0)


@pytest.mark.parametrize("half_life", [None, 28.0])
def test_popularity_is_the_same(workspace: Workspace, spark: SparkSession, half_life: float | None) -> None:
    settings = PipelineSettings(
        popularity=PopularitySettings(
            half_life_days=half_life, position_eta=0.0 if half_life is None else 0.5
        )
    )
    native, ours = both(workspace, spark, "popularity", settings)
    assert sum(map(len, native.values())) > 1_000
    if half_life is None:
        assert native == ours
    assert native.keys() == ours.keys()
    for key, expected in native.items():
        assert ours[key] == pytest.approx(expected, rel=TOLERANCE, abs=0)


@pytest.mark.parametrize("normalization", ["count", "cosine", "jaccard", "lift"])
def test_covisitation_is_the_same(workspace: Workspace, spark: SparkSession, normalization: str) -> None:
    settings = PipelineSettings(cooc=CoocSettings(normalization=normalization, top_n=20))  # type: ignore[arg-type]
    native, ours = both(workspace, spark, "cooc", settings)
    assert sum(map(len, native.values())) > 1_000
    if normalization == "count":
        assert native == ours
    check_same(native, ours)


def test_event_weights_weigh_and_leave_out(workspace: Workspace, spark: SparkSession) -> None:
    for kind in ("popularity", "cooc"):
        native, ours = both(workspace, spark, kind, PipelineSettings(event_weights={"*": 2.5}))
        assert native.keys() == ours.keys()
        for key, expected in native.items():
            assert ours[key] == pytest.approx(expected, rel=TOLERANCE, abs=0)
    with pytest.raises(BuildError, match="no interaction counts"):
        build(
            workspace,
            "popularity",
            FIRST,
            LAST,
            PipelineSettings(event_weights={"*": 0.0}),
            engine=spark_engine(spark),
        )


def test_what_spark_does_not_build_is_refused(workspace: Workspace, spark: SparkSession) -> None:
    engine = spark_engine(spark)
    with pytest.raises(UsageError, match="spark builds popularity, cooc"):
        build(workspace, "content_sim", FIRST, LAST, PipelineSettings(), engine=engine)
    timed = PipelineSettings(cooc=CoocSettings(window_minutes=5.0))
    with pytest.raises(UsageError, match=r"cooc\.window_minutes"):
        build(workspace, "cooc", FIRST, LAST, timed, engine=engine)
