"""The kinds that Spark builds: canonical days to a table of (key, item_id, score), packed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec import Struct
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812  the name that the field uses

from recsys._native import Catalog
from recsys.contracts.errors import BuildError, UsageError
from recsys.contracts.pipeline import PipelineSettings
from recsys.pipelines.build.interactions import Selection
from recsys.pipelines.build.pack import KEY_TYPES, pack_signal
from recsys.pipelines.build.request import BuildInput, BuildReport, window_of
from recsys.pipelines.input.files import find_input_files
from recsys.pipelines.kinds import KINDS, BuildKind, Engine, Resources
from recsys.spark.cooc import cooc
from recsys.spark.interactions import read_interactions, write_items
from recsys.spark.popularity import popularity
from recsys.spark.session_seq import session_seq

Job = Callable[[DataFrame, int, PipelineSettings], DataFrame]
"""Rows that count, the time of the last of them (Unix ms), and settings, to (key or own, ordinal, score)."""

_DAY_MS = 86_400_000


def spark_engine(spark: SparkSession) -> Engine:
    """Return the engine, for :func:`recsys.pipelines.stages.build`."""
    return Engine("spark", {kind: _kind(spark, kind, job) for kind, job in _JOBS.items()})


def _kind(spark: SparkSession, kind: str, job: Job) -> BuildKind:
    def build(
        catalog: Catalog, given: BuildInput, out: Path, settings: PipelineSettings, _: Resources
    ) -> BuildReport:
        return _build(spark, kind, job, catalog, given, out, settings)

    return BuildKind(build, lambda settings: _settings(kind, settings))


def _settings(kind: str, settings: PipelineSettings) -> Struct:
    if kind == "cooc" and settings.cooc.window_minutes is not None:
        raise UsageError("cooc.window_minutes: only the native engine has it; leave --engine spark out")
    return KINDS[kind].settings(settings)


def _build(
    spark: SparkSession,
    kind: str,
    job: Job,
    catalog: Catalog,
    given: BuildInput,
    out: Path,
    settings: PipelineSettings,
) -> BuildReport:
    """Run a job and pack what it wrote; raises :class:`BuildError` when no row counts."""
    given.begin(f"{kind} on Spark", None)
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".build-", dir=out.parent) as scratch:
        items, table = Path(scratch) / "items.parquet", Path(scratch) / "scores"
        write_items(catalog, items)
        days = [file.path for file in given.files]
        rows = read_interactions(spark, days, items, _selection(kind, settings)).persist()
        first_ms, last_ms = rows.agg(F.min("ts_ms"), F.max("ts_ms")).collect()[0]
        if last_ms is None:
            raise BuildError("no interaction counts: every row is bad, unknown to the catalog, or left out")
        scores = job(rows, int(last_ms), settings)
        _with_ids(spark, items, scores).write.parquet(str(table))
        spark.catalog.clearCache()
        made = BuildInput(find_input_files(sorted(table.glob("part-*.parquet"))), begin=given.begin)
        return pack_signal(
            catalog,
            made,
            out,
            kind=kind,
            key_type=KEY_TYPES[kind],
            window=window_of(int(first_ms), int(last_ms)),
            params={"engine": "spark"},
            may_be_empty=True,  # as natively: sessions may hold no pair that has the support
        )


def _selection(kind: str, settings: PipelineSettings) -> Selection:
    if kind != "popularity":
        return Selection(event_weights=settings.event_weights)
    return Selection(
        event_weights=settings.event_weights,
        position_eta=settings.popularity.position_eta,
        max_position_weight=settings.popularity.max_position_weight,
    )


def _with_ids(spark: SparkSession, items: Path, scores: DataFrame) -> DataFrame:
    """Replace ordinals by ids; an item key comes as ``own``."""
    ids = spark.read.parquet(str(items))
    named = scores.join(ids, "ordinal")
    if "own" in scores.columns:
        keys = ids.select(F.col("ordinal").alias("own"), F.col("item_id").alias("key"))
        named = named.join(keys, "own")
    return named.select("key", "item_id", F.col("score").cast("double"))


def _popularity(rows: DataFrame, last_ms: int, settings: PipelineSettings) -> DataFrame:
    days = settings.popularity.half_life_days
    return popularity(rows, half_life_ms=None if days is None else days * _DAY_MS, now_ms=last_ms)


def _cooc(rows: DataFrame, _last_ms: int, settings: PipelineSettings) -> DataFrame:
    return cooc(rows, settings.cooc)


def _session_seq(rows: DataFrame, _last_ms: int, settings: PipelineSettings) -> DataFrame:
    return session_seq(rows, settings.session_seq)


_JOBS: dict[str, Job] = {"popularity": _popularity, "cooc": _cooc, "session_seq": _session_seq}
