"""Co-visitation as a DataFrame job: a self-join of sessions, scored and cut to the best neighbours."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812  the name that the field uses

from recsys.contracts.pipeline import CoocSettings


def cooc(rows: DataFrame, settings: CoocSettings) -> DataFrame:
    """Return (own, ordinal, score): the best ``top_n`` neighbours of every item, as the native builder has.

    An item weighs in a session as its heaviest row. Of a session over the cap, as many items are drawn; the
    draw is another than the native one.
    """
    one = rows.groupBy("session_id", "ordinal").agg(F.max(F.col("weight").cast("float")).alias("weight"))
    one = one.withColumn("weight", F.col("weight").cast("double"))
    drawn = Window.partitionBy("session_id").orderBy(F.xxhash64("session_id", "ordinal"), "ordinal")
    one = one.withColumn("place", F.row_number().over(drawn))
    one = one.where(F.col("place") <= settings.max_items_per_session).drop("place").persist()
    n_sessions = one.select("session_id").distinct().count()
    totals = one.groupBy("ordinal").agg(F.sum(F.col("weight") * F.col("weight")).alias("total"))
    other = one.select("session_id", F.col("ordinal").alias("other"), F.col("weight").alias("other_weight"))
    pairs = (
        one.join(other, "session_id")
        .where(F.col("ordinal") != F.col("other"))
        .groupBy(F.col("ordinal").alias("own"), "other")
        .agg(F.sum(F.col("weight") * F.col("other_weight")).alias("sum"), F.count("*").alias("support"))
        .where(F.col("support") >= settings.min_support)
        .join(totals.select(F.col("ordinal").alias("own"), F.col("total").alias("own_total")), "own")
        .join(totals.select(F.col("ordinal").alias("other"), F.col("total").alias("other_total")), "other")
        .withColumn("score", _score(settings.normalization, n_sessions))
    )
    if settings.normalization != "count":
        # Rounding comes before ranking, as natively: what is equal in the file is in order of ordinal.
        pairs = pairs.withColumn("score", F.col("score").cast("float"))
    best = Window.partitionBy("own").orderBy(F.col("score").desc(), F.col("other"))
    top = pairs.withColumn("rank", F.row_number().over(best)).where(F.col("rank") <= settings.top_n)
    return top.select("own", F.col("other").alias("ordinal"), "score")


def _score(normalization: str, n_sessions: int) -> Column:
    """Return how the sum of a pair becomes its score, as ``Normalization`` of the native builder says."""
    total, own, other = F.col("sum"), F.col("own_total"), F.col("other_total")
    scores = {
        "count": total,
        "cosine": total / (F.sqrt(own) * F.sqrt(other)),
        "jaccard": total / (own + other - total),
        "lift": total * F.lit(float(n_sessions)) / (own * other),
    }
    return scores[normalization]
