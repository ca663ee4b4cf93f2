"""What co-visitation and session sequences share: the items of sessions, and the best of scored pairs."""

from __future__ import annotations

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812  the name that the field uses


def session_items(rows: DataFrame, most: int) -> DataFrame:
    """Return (session_id, ordinal, weight): each item of a session once, as heavy as its heaviest row.

    Of a session with more than ``most`` items, as many are drawn; the draw is another than the native one.
    Weights are rounded to single precision, as natively.
    """
    items = rows.groupBy("session_id", "ordinal").agg(F.max(F.col("weight").cast("float")).alias("weight"))
    drawn = Window.partitionBy("session_id").orderBy(F.xxhash64("session_id", "ordinal"), "ordinal")
    placed = items.withColumn("place", F.row_number().over(drawn)).where(F.col("place") <= most)
    return placed.drop("place").withColumn("weight", F.col("weight").cast("double"))


def item_totals(items: DataFrame) -> DataFrame:
    """Return (ordinal, total): the sum of squared weights of an item over its sessions."""
    return items.groupBy("ordinal").agg(F.sum(F.col("weight") * F.col("weight")).alias("total"))


def best_pairs(pairs: DataFrame, top_n: int) -> DataFrame:
    """Return (own, ordinal, score): of pairs (own, other, score) the ``top_n`` best of each ``own``."""
    best = Window.partitionBy("own").orderBy(F.col("score").desc(), F.col("other"))
    top = pairs.withColumn("rank", F.row_number().over(best)).where(F.col("rank") <= top_n)
    return top.select("own", F.col("other").alias("ordinal"), "score")
