"""The retail data cut in time: a release trained on the weeks before, and the logs of the baskets after.

A basket is a request of its household, made when the basket was paid; what was bought is its outcome.
Nothing was shown, so the exposed list is empty and the lists to judge are ranked by replay. Baskets of some
weeks before the cut are in the logs too: they are the history that anchors come from.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recsys.contracts.errors import RecsysError
from recsys.contracts.pseudonym import pseudonym
from recsys.contracts.records import Exposure, Outcome
from recsys.demo.prepare import DemoFiles, publish_retail_release, write_retail_files
from recsys.demo.retail import NO_PRODUCT, SURFACE, TENANT, RetailData, load_retail_data
from recsys.pipelines.build.request import BeginStage, unseen

CUT_WEEK = 48
"""The first week that is not trained on."""

HISTORY_WEEKS = 6
"""Weeks before the cut whose baskets are in the logs."""

_SALT = b"retail-replay"  # the data is public, so this is no secret


@dataclass(frozen=True, slots=True)
class ReplayFiles:
    """Where things are: a data folder with the release, the logs, the catalog, and when the cut is."""

    data_dir: Path
    exposures: Path
    outcomes: Path
    items: Path
    since: datetime
    baskets: int
    purchases: int


def prepare_replay(
    out: Path, *, cut_week: int = CUT_WEEK, last_week: int = 53, begin: BeginStage = unseen
) -> ReplayFiles:
    """Make ``out`` and return what is there; the same weeks give the same bytes.

    Raises RecsysError for weeks outside 1 to 53, :class:`~recsys.demo.retail.RetailDataError` without the
    data.
    """
    if not HISTORY_WEEKS < cut_week <= last_week <= 53:
        raise RecsysError(f"weeks {cut_week} to {last_week} are not within {HISTORY_WEEKS + 1} to 53")
    data = load_retail_data()
    where = DemoFiles(out / "data")
    write_retail_files(data.weeks(1, cut_week - 1), where)
    publish_retail_release(where, begin)
    logged = data.weeks(cut_week - HISTORY_WEEKS, last_week)
    exposures, outcomes = out / "logs" / "exposures.jsonl", out / "logs" / "outcomes.jsonl"
    exposures.parent.mkdir(parents=True, exist_ok=True)
    baskets, purchases = _write_logs(logged, exposures, outcomes)
    cut = data.weeks(cut_week, last_week).transactions["transaction_timestamp"]
    first: datetime = pc.min(cut.cast(pa.timestamp("us"))).as_py()  # type: ignore[assignment]
    items = out / "items.parquet"
    pq.write_table(pq.read_table(where.items, columns=["item_id", "tags"]), items)
    return ReplayFiles(
        where.data_dir, exposures, outcomes, items, first.replace(tzinfo=UTC), baskets, purchases
    )


def _write_logs(data: RetailData, exposures: Path, outcomes: Path) -> tuple[int, int]:
    department = dict(
        zip(data.products["product_id"].to_pylist(), data.products["department"].to_pylist(), strict=True)
    )
    kinds = zip(
        data.products["product_id"].to_pylist(), data.products["product_category"].to_pylist(), strict=True
    )
    products = {product for product, kind in kinds if kind != NO_PRODUCT}
    encode = msgspec.json.Encoder().encode
    n_baskets = n_purchases = 0
    with exposures.open("wb") as served, outcomes.open("wb") as came:
        for basket, household, moment, bought in _baskets(data.transactions):
            kept = sorted({str(product) for product in bought if product in products})
            if not kept:
                continue
            shelves = Counter(department[product] for product in bought if product in products)
            most = min(shelves, key=lambda name: (-shelves[name], str(name)))
            user = pseudonym(_SALT, household)
            context = {"tenant_id": TENANT, "surface": SURFACE, "department": str(most).lower()}
            served.write(encode(Exposure(basket, user, moment, [], context)) + b"\n")
            for item in kept:
                came.write(encode(Outcome(basket, user, item, "conversion", moment)) + b"\n")
            n_baskets += 1
            n_purchases += len(kept)
    return n_baskets, n_purchases


def _baskets(transactions: pa.Table) -> list[tuple[str, str, datetime, list[object]]]:
    # To the microsecond, for which Python has a time of its own.
    place = transactions.schema.get_field_index("transaction_timestamp")
    times = transactions["transaction_timestamp"].cast(pa.timestamp("us"))
    transactions = transactions.set_column(place, "transaction_timestamp", times)
    grouped = transactions.group_by("basket_id", use_threads=False).aggregate(
        [("household_id", "min"), ("transaction_timestamp", "min"), ("product_id", "list")]
    )
    rows = [
        (
            str(row["basket_id"]),
            str(row["household_id_min"]),
            row["transaction_timestamp_min"].replace(tzinfo=UTC),
            row["product_id_list"],
        )
        for row in grouped.to_pylist()
    ]
    return sorted(rows, key=lambda row: (row[2], row[0]))
