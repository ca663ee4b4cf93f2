"""Co-visitation as a DataFrame job: a self-join of sessions, scored and cut to the best neighbours."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812  the name that the field uses

from recsys.contracts.pipeline import CoocSettings
from recsys.spark.sessions import best_pairs, item_totals, session_items


def cooc(rows: DataFrame, settings: CoocSettings) -> DataFrame:
    """Return (own, ordinal, score): the best ``top_n`` neighbours of every item, as natively."""
    one = session_items(rows, settings.max_items_per_session).persist()
    n_sessions = one.select("session_id").distinct().count()
    totals = item_totals(one)
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
    return best_pairs(pairs, settings.top_n)


def _score(normalization: str, n_sessions: int) -> Column:
    """Return how the sum of a pair becomes its score, as ``Normalization`` of the native builder says."""
    total, own, other = F.col("sum"), F.col("own_total"), F.col("other_total")
    scores = {
        "count": total,
        "cosine": total / (F.sqrt(own) * F.sqrt(other)),
        "jaccard": total / (own + other - total),
        "lift": total * F.lit(float(n_sessions)) / (own * other),
        "confidence": total / own,
    }
    return scores[normalization]
