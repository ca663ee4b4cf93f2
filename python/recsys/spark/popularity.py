"""Popularity as a DataFrame job: decayed weights by segment and item."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812  the name that the field uses

from recsys.pipelines.build.popularity import ALL


def popularity(rows: DataFrame, *, half_life_ms: float | None, now_ms: int) -> DataFrame:
    """Return (key, ordinal, score): the sum of weight x 2^(-age / half-life) by segment, and over all.

    Every row counts for the list over all; one that names a segment counts for that too.
    """
    worth = F.col("weight")
    if half_life_ms is not None:
        age_ms = F.greatest(F.lit(now_ms) - F.col("ts_ms"), F.lit(0))
        worth = worth * F.pow(F.lit(2.0), -age_ms / F.lit(float(half_life_ms)))
    keys = F.array_distinct(F.array(F.lit(ALL), F.coalesce(F.col("segment"), F.lit(ALL))))
    of_key = rows.select(F.explode(keys).alias("key"), "ordinal", worth.alias("worth"))
    return of_key.groupBy("key", "ordinal").agg(F.sum("worth").alias("score"))
