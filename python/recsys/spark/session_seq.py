"""Session sequences as a DataFrame job: what comes after an item in its session, and how soon."""

from __future__ import annotations

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812  the name that the field uses

from recsys.contracts.pipeline import SessionSeqSettings
from recsys.pipelines.build.session_seq import SEQUENCE_COLUMNS
from recsys.spark.sessions import best_pairs, item_totals, session_items


def session_seq(rows: DataFrame, settings: SessionSeqSettings) -> DataFrame:
    """Return (own, ordinal, score): the best ``top_n`` followers of every item, as the native builder has.

    The events of a session at one moment are one step. An event d steps after another, d from 1 to
    ``max_distance``, adds the product of the weights of their items times decay^(d - 1).
    """
    column = F.col(SEQUENCE_COLUMNS[settings.within])
    rows = rows.where(column.isNotNull()).withColumn("session_id", column)
    items = session_items(rows, settings.max_items_per_session).persist()
    totals = item_totals(items).select(F.col("ordinal").alias("own"), "total")
    in_time = Window.partitionBy("session_id").orderBy("ts_ms")
    events = (
        rows.select("session_id", "ordinal", "ts_ms")
        .join(items, ["session_id", "ordinal"])
        .select("session_id", "ordinal", "weight", F.dense_rank().over(in_time).alias("step"))
    )
    later = events.select(
        "session_id",
        F.col("ordinal").alias("other"),
        F.col("weight").alias("other_weight"),
        F.col("step").alias("other_step"),
    )
    distance = F.col("other_step") - F.col("step")
    worth = F.col("weight") * F.col("other_weight") * F.pow(F.lit(settings.decay), distance - 1)
    pairs = (
        events.join(later, "session_id")
        .where((F.col("ordinal") != F.col("other")) & distance.between(1, settings.max_distance))
        .groupBy("session_id", F.col("ordinal").alias("own"), "other")
        .agg(F.sum(worth).alias("sum"))
        .groupBy("own", "other")
        .agg(F.sum("sum").alias("sum"), F.count("*").alias("support"))
        .where(F.col("support") >= settings.min_support)
        .join(totals, "own")
    )
    score = F.col("sum") if settings.normalization == "count" else F.col("sum") / F.col("total")
    # Rounding comes before ranking, as natively: what is equal in the file is in order of ordinal.
    return best_pairs(pairs.withColumn("score", score.cast("float")), settings.top_n)
