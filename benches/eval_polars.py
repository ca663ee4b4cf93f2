"""The work of an evaluation in plain Polars, which checks no line and keeps everything in memory."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from benches.eval_logs import Logs

_EXPOSURE: dict[str, pl.DataType | type[pl.DataType]] = {
    "request_id": pl.String,
    "user_id": pl.String,
    "ts": pl.String,
    "items": pl.List(pl.Struct({"item_id": pl.String, "rank": pl.Int64})),
    "context": pl.Struct(
        dict.fromkeys(("tenant_id", "surface", "experiment_id", "experiment_variant"), pl.String)
    ),
    "latency_ms": pl.Float64,
    "error": pl.Boolean,
}
_OUTCOME = dict.fromkeys(("request_id", "user_id", "ts", "item_id", "event_type"), pl.String)
_RANKLIST: dict[str, pl.DataType | type[pl.DataType]] = {
    **dict.fromkeys(("request_id", "user_id", "ts"), pl.String),
    "items": pl.List(pl.String),
}


def _read(logs: Logs) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    time = pl.col("ts").str.to_datetime("%Y-%m-%dT%H:%M:%S%.fZ", time_unit="us")
    exposures = pl.scan_ndjson(logs.exposures, schema=_EXPOSURE).with_columns(time).unique("request_id")
    outcomes = pl.scan_ndjson(logs.outcomes, schema=_OUTCOME).with_columns(time).unique()
    return exposures, outcomes


def _matched(exposures: pl.LazyFrame, outcomes: pl.LazyFrame) -> pl.LazyFrame:
    served = exposures.select("request_id", "items", pl.col("ts").alias("served_at"))
    listed = pl.col("items").list.eval(pl.element().struct.field("item_id"))
    return (
        outcomes.join(served, on="request_id")
        .filter(listed.list.contains(pl.col("item_id")))
        .filter(
            (pl.col("ts") >= pl.col("served_at"))
            & (pl.col("ts") <= pl.col("served_at") + pl.duration(hours=24))
        )
    )


def validate(logs: Logs) -> object:
    exposures, outcomes = _read(logs)
    matched = _matched(exposures, outcomes).select("request_id").unique().with_columns(engaged=True)
    day = pl.col("ts").dt.date().alias("day")
    rates = exposures.join(matched, on="request_id", how="left").group_by(
        day, pl.col("context").struct.field("surface")
    )
    return rates.agg(pl.len(), pl.col("engaged").sum()).collect(engine="streaming")


def offline(logs: Logs) -> object:
    exposures, outcomes = _read(logs)
    ranked = pl.scan_ndjson(logs.ranklist, schema=_RANKLIST).unique("request_id")
    served = exposures.select("request_id", pl.col("items").list.eval(pl.element().struct.field("item_id")))
    found = outcomes.select("request_id", "item_id").unique()
    for lists in (served, ranked.select("request_id", "items")):
        joined = (
            found.join(lists, on="request_id")
            .explode("items")
            .with_columns(place=pl.int_range(1, pl.len() + 1).over("request_id", "item_id"))
        )
        gains = joined.filter(pl.col("items") == pl.col("item_id")).select(
            (1 / (pl.col("place") + 1).log(2)).mean()
        )
        gains.collect(engine="streaming")
    return None


def experiment(logs: Logs) -> object:
    exposures, outcomes = _read(logs)
    clicks = _matched(exposures, outcomes).group_by("request_id").agg(clicks=pl.len())
    arm = pl.col("context").struct.field("experiment_variant").alias("arm")
    users = (
        exposures.join(clicks, on="request_id", how="left")
        .group_by("user_id", arm)
        .agg(pl.len().alias("requests"), pl.col("clicks").fill_null(0).sum())
    )
    return (
        users.group_by("arm")
        .agg(pl.col("clicks").sum() / pl.col("requests").sum())
        .collect(engine="streaming")
    )


WORK: dict[str, Callable[[Logs], object]] = {
    "validate": validate,
    "offline": offline,
    "experiment": experiment,
}
