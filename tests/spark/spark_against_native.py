"""Spark and the native builders make the same signals of the retail data.

Needs the extra `spark` and Java: `make spark` runs it, and the other targets do not collect it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from pyspark.sql import SparkSession
from tests.spark.retail_days import FIRST, LAST, prepare

from recsys._native import Catalog, Signal
from recsys.contracts.errors import BuildError, UsageError
from recsys.contracts.pipeline import (
    CoocSettings,
    PipelineSettings,
    PopularitySettings,
    SessionSeqSettings,
)
from recsys.pipelines.stages import build
from recsys.pipelines.workspace import Workspace
from recsys.spark.engine import spark_engine
from recsys.spark.session import spark_session

TOLERANCE = 1e-6
LONG_LAST = LAST + timedelta(days=5)
Lists = dict[str, dict[str, float]]


@pytest.fixture(scope="module")
def spark() -> Iterator[SparkSession]:
    with spark_session("local[2]") as session:
        yield session


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Some days of the retail data, ingested."""
    return prepare(tmp_path_factory.mktemp("retail"))


@pytest.fixture(scope="module")
def households(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The same shop, where a session is what a household buys in a week: a sequence of baskets."""
    return prepare(tmp_path_factory.mktemp("households"), FIRST, LONG_LAST, session="user_id")


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
    days = workspace.days(FIRST, LONG_LAST)
    first, last = min(days), max(days)
    native = build(workspace, kind, first, last, settings)
    ours = lists(workspace, kind)
    on_spark = build(workspace, kind, first, last, settings, engine=spark_engine(spark))
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


@pytest.mark.parametrize("normalization", ["count", "cosine", "jaccard", "lift", "confidence"])
def test_covisitation_is_the_same(workspace: Workspace, spark: SparkSession, normalization: str) -> None:
    settings = PipelineSettings(cooc=CoocSettings(normalization=normalization, top_n=20))  # type: ignore[arg-type]
    native, ours = both(workspace, spark, "cooc", settings)
    assert sum(map(len, native.values())) > 1_000
    if normalization == "count":
        assert native == ours
    check_same(native, ours)


@pytest.mark.parametrize(
    ("normalization", "decay", "max_distance"),
    [("count", 1.0, 50), ("count", 0.8, 3), ("confidence", 0.8, 10)],
)
def test_session_sequence_is_the_same(
    households: Workspace, spark: SparkSession, normalization: str, decay: float, max_distance: int
) -> None:
    settings = PipelineSettings(
        session_seq=SessionSeqSettings(
            normalization=normalization,  # type: ignore[arg-type]
            decay=decay,
            max_distance=max_distance,
            top_n=50,
        )
    )
    native, ours = both(households, spark, "session_seq", settings)
    assert sum(map(len, native.values())) > 1_000
    if decay == 1.0:
        assert native == ours
    check_same(native, ours)


def test_session_sequence_follows_time_and_weights(
    workspace: Workspace, households: Workspace, spark: SparkSession
) -> None:
    weighted = PipelineSettings(event_weights={"*": 2.5})
    check_same(*both(households, spark, "session_seq", weighted))
    within = PipelineSettings(session_seq=SessionSeqSettings(within="user", max_items_per_session=2_000))
    sessions = PipelineSettings(session_seq=SessionSeqSettings(max_items_per_session=2_000))
    of_users, on_spark = both(workspace, spark, "session_seq", within)
    check_same(of_users, on_spark)
    assert sum(map(len, of_users.values())) > 20
    assert of_users != both(workspace, spark, "session_seq", sessions)[0]
    assert both(workspace, spark, "session_seq", weighted) == ({}, {})  # baskets have one time: no sequence


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
    with pytest.raises(
        UsageError,
        match="spark does not build this kind; spark builds catalog, popularity, cooc, session_seq",
    ):
        build(workspace, "content_sim", FIRST, LAST, PipelineSettings(), engine=engine)
    timed = PipelineSettings(cooc=CoocSettings(window_minutes=5.0))
    with pytest.raises(UsageError, match=r"cooc\.window_minutes"):
        build(workspace, "cooc", FIRST, LAST, timed, engine=engine)
