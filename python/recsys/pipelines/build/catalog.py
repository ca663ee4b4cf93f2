"""The catalog artifact: every item once, with what is known of it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa

from recsys._native import build_catalog as write_catalog
from recsys.contracts.errors import BuildError
from recsys.pipelines.build.request import BuildInput, BuildReport, metadata_of
from recsys.pipelines.input.columns import CATALOG_COLUMNS
from recsys.pipelines.input.quarantine import Quarantine
from recsys.pipelines.input.reader import RowSource, read_rows


def build_catalog(given: BuildInput, out: Path) -> BuildReport:
    """Write the catalog of the item rows in ``given`` to ``out``; ids may come once only.

    Raises :class:`BuildError` for an empty catalog and for an item given twice, and
    :class:`~recsys.pipelines.input.errors.InputError` as reading does.
    """
    source = RowSource(given.files, CATALOG_COLUMNS, given.mapping, remedy=given.remedy)
    advance = given.begin("reading items", source.total_bytes)
    with Quarantine(given.quarantine, given.limit) as quarantine:
        tables = list(read_rows(source, quarantine, advance))
        quarantine.check()
    if not tables:
        raise BuildError("the catalog has no items")
    items = pa.concat_tables(tables, promote_options="default")
    given.begin("writing", None)
    sha256 = write_items(items, out, rows=quarantine.rows)
    return BuildReport(
        "catalog",
        str(out),
        sha256,
        out.stat().st_size,
        quarantine.rows,
        quarantine.bad,
        quarantine=str(given.quarantine) if quarantine.bad and given.quarantine else None,
    )


def write_items(items: pa.Table, out: Path, *, rows: int) -> str:
    """Write a table of catalog columns (``item_id`` and any other) as a catalog; return its hex SHA-256."""
    ids = [str(item_id) for item_id in items["item_id"].to_pylist()]
    _refuse_doubles(ids)
    out.parent.mkdir(parents=True, exist_ok=True)

    def column(name: str) -> list[Any] | None:
        return items[name].to_pylist() if name in items.column_names else None

    tags = column("tags")
    available = column("available")
    return write_catalog(
        str(out),
        ids,
        titles=column("title"),
        tags=None if tags is None else [[tag for tag in of_item or () if tag] for of_item in tags],
        brands=column("brand"),
        categories=column("category"),
        prices=column("price"),
        created_at_ms=column("created_at"),
        valid_until_ms=column("valid_until"),
        available=None if available is None else [flag is not False for flag in available],
        metadata=metadata_of({}, window=None, rows=rows),
    )


def _refuse_doubles(ids: list[str]) -> None:
    if len(set(ids)) == len(ids):
        return
    item_id, count = Counter(ids).most_common(1)[0]
    raise BuildError(f"item {item_id!r} comes {count} times in the catalog: give each item once")
