"""The catalog of an offline evaluation: which items there are, and their tags."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import duckdb
import numpy as np
import pyarrow as pa

from recsys._native import hash_strings
from recsys.contracts.errors import EvaluationError
from recsys.evaluation.logs import connect

_READERS = {".parquet": "read_parquet", ".jsonl": "read_json", ".csv": "read_csv"}


@dataclass(frozen=True, slots=True)
class CatalogItems:
    """Hashes of the items, sorted, each once, and the tags of each; ``has_tags`` when the file has that
    column.
    """

    hashes: np.ndarray[tuple[int], np.dtype[np.uint64]]
    tags: list[frozenset[str]]
    has_tags: bool


def read_items(path: Path) -> CatalogItems:
    """Return the items of a Parquet, JSON Lines or CSV file with ``item_id`` and, if any, ``tags``.

    Tags are a list, or one text with ``|`` between them. Raises EvaluationError for a file that cannot be
    read or lacks ``item_id``.
    """
    reader = _READERS.get(path.suffix)
    if reader is None:
        raise EvaluationError(f"items: {path} does not end with one of {', '.join(_READERS)}")
    try:
        with connect() as connection:
            found = connection.execute(f"DESCRIBE FROM {reader}(?)", [str(path)]).fetchall()
            kinds = {str(row[0]): str(row[1]) for row in found}
            if "item_id" not in kinds:
                raise EvaluationError(f"items: {path} has no column item_id; there are: {', '.join(kinds)}")
            has_tags = "tags" in kinds
            tags = "NULL" if not has_tags else "tags" if kinds["tags"].endswith("[]") else "split(tags, '|')"
            query = f"SELECT item_id::VARCHAR AS item_id, {tags}::VARCHAR[] AS tags FROM {reader}(?)"  # noqa: S608
            rows = cast("pa.Table", connection.sql(query, params=[str(path)]).to_arrow_table())
    except duckdb.Error as error:
        raise EvaluationError(f"items: {path} cannot be read: {error}") from error
    ids = rows["item_id"].combine_chunks()
    if ids.null_count:
        raise EvaluationError(f"items: {path}: {ids.null_count} rows have no item_id")
    hashes = np.zeros(0, np.uint64)
    if len(ids):
        _, offsets, data = ids.buffers()
        ends = np.frombuffer(memoryview(cast("pa.Buffer", offsets)), np.int32)[: len(ids) + 1]
        hashes = np.frombuffer(hash_strings(ends.data, data or b""), np.uint64)
    order = np.unique(hashes, return_index=True)
    listed = rows["tags"].to_pylist()
    return CatalogItems(order[0], [frozenset(listed[row] or ()) for row in order[1]], has_tags)
