"""Canonical interactions as a DataFrame: ordinals, times and weights, as the native builders take them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812  the name that the field uses

from recsys._native import Catalog
from recsys.pipelines.build.interactions import ANY_EVENT, Selection


def write_items(catalog: Catalog, path: Path) -> None:
    """Write the ids of a catalog with their ordinals as a Parquet file (item_id, ordinal)."""
    ids = [catalog.item_at(ordinal).item_id for ordinal in range(catalog.n_items)]
    pq.write_table(pa.table({"item_id": ids, "ordinal": list(range(len(ids)))}), path)


def read_interactions(
    spark: SparkSession, days: Sequence[Path], items: Path, selection: Selection
) -> DataFrame:
    """Return the rows that count (session_id, user_id, segment, ordinal, ts_ms, weight) of canonical days.

    Rows of weight zero and of items that the catalog lacks are left out, as in the native builders.
    """
    rows = spark.read.parquet(*[str(path) for path in days])
    weight = event_weight(selection.event_weights)
    if selection.position_eta:
        rank = F.greatest(F.coalesce(F.col("rank").cast("double"), F.lit(1.0)), F.lit(1.0))
        weight = weight * F.least(
            F.pow(rank, F.lit(selection.position_eta)), F.lit(selection.max_position_weight)
        )
    chosen = rows.select(
        "session_id",
        "user_id",
        "segment",
        "item_id",
        F.unix_millis("ts").alias("ts_ms"),
        weight.alias("weight"),
    ).where(F.col("weight") > 0)
    return chosen.join(spark.read.parquet(str(items)), "item_id").drop("item_id")


def event_weight(weights: Mapping[str, float]) -> Column:
    """Return the weight of a row by its event type; ``*`` is for types not named, and for none."""
    chosen = F.lit(float(weights.get(ANY_EVENT, 1.0)))
    for event_type, weight in weights.items():
        if event_type != ANY_EVENT:
            is_type = F.col("event_type").eqNullSafe(F.lit(event_type))
            chosen = F.when(is_type, F.lit(float(weight))).otherwise(chosen)
    return chosen
