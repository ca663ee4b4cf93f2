"""The tables that log lines are scanned into: their columns, and how the scanner's buffers become Arrow.

Every role has ``r1, r2`` and ``c1, c2`` (uint64: the halves of the 128-bit hashes of request id and content),
``usr`` (uint64: hash of the user id) and ``ts`` (timestamp[us, UTC]). Hashes are XXH3. Beside these:

    exposures    ctx uint64 · latency_ms double · error bool · items list<uint64>, hashes in order of rank
    outcomes     item uint64 · is_conversion bool · value double
    assignments  ctx · experiment_id, variant string
    ranklists    ctx · items, in order of the list

``ctx`` names a row of the contexts, 0 stands for none. With names there are ``request_id`` and ``user_id``,
of exposures and ranklists ``item_ids`` as ``items``, of exposures also ``ranks`` and three lists of
propensities, and of outcomes ``item_id``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from recsys.evaluation.inputs import Role

Columns = dict[str, bytes]
Array: TypeAlias = "pa.Array[Any]"

PROPENSITIES = ("propensity", "logging_propensity", "target_propensity")

CONTEXTS = pa.schema([("ctx", pa.uint64()), ("pairs", pa.map_(pa.string(), pa.string()))])

_KEYS = [
    *((name, pa.uint64()) for name in ("r1", "r2", "c1", "c2", "usr")),
    ("ts", pa.timestamp("us", "UTC")),
]
_OWN: dict[Role, list[tuple[str, pa.DataType]]] = {
    "exposures": [
        ("ctx", pa.uint64()),
        ("latency_ms", pa.float64()),
        ("error", pa.bool_()),
        ("items", pa.list_(pa.uint64())),
    ],
    "outcomes": [("item", pa.uint64()), ("is_conversion", pa.bool_()), ("value", pa.float64())],
    "assignments": [("ctx", pa.uint64()), ("experiment_id", pa.string()), ("variant", pa.string())],
    "ranklists": [("ctx", pa.uint64()), ("items", pa.list_(pa.uint64()))],
}
_NAMES = [("request_id", pa.string()), ("user_id", pa.string())]
_OWN_NAMES: dict[Role, list[tuple[str, pa.DataType]]] = {
    "exposures": [
        ("item_ids", pa.list_(pa.string())),
        ("ranks", pa.list_(pa.int64())),
        *((f"{name}_list", pa.list_(pa.float64())) for name in PROPENSITIES),
    ],
    "outcomes": [("item_id", pa.string())],
    "assignments": [],
    "ranklists": [("item_ids", pa.list_(pa.string()))],
}


def schema_of(role: Role, *, with_names: bool) -> pa.Schema:
    """Return the columns of the table of ``role``."""
    names = [*_NAMES, *_OWN_NAMES[role]] if with_names else []
    return pa.schema([*_KEYS, *_OWN[role], *names])


def batch_of(columns: Columns, schema: pa.Schema) -> pa.RecordBatch:
    """Return the rows of one piece of a scan."""
    n_rows = len(columns["ts"]) // 8
    return pa.record_batch([_READ[field.name](columns, n_rows) for field in schema], schema=schema)


def _fixed(name: str, kind: pa.DataType) -> Callable[[Columns, int], Array]:
    def read(columns: Columns, n_rows: int) -> Array:
        return pa.Array.from_buffers(kind, n_rows, [None, pa.py_buffer(columns[name])])

    return read


def _optional_number(name: str) -> Callable[[Columns, int], Array]:
    def read(columns: Columns, n_rows: int) -> Array:  # noqa: ARG001 - as the others
        return _nan_as_null(columns[name])

    return read


def _flag(columns: Columns, name: str) -> Array:
    # 0, 1, and 2 for a flag that was not given.
    values = np.frombuffer(columns[name], np.uint8)
    flags: Array = pa.array(values == 1, mask=values == 2)
    return flags


def _text(name: str) -> Callable[[Columns, int], Array]:
    def read(columns: Columns, n_rows: int) -> Array:
        return _strings(columns, name, n_rows)

    return read


def _list(name: str, kind: pa.DataType | None) -> Callable[[Columns, int], Array]:
    """Read a list column over the values ``name``: strings when ``kind`` is None, null for NaN in doubles."""

    def read(columns: Columns, n_rows: int) -> Array:
        n_items = len(columns.get("item", b"")) // 8
        if kind is None:
            values = _strings(columns, name, n_items)
        elif pa.types.is_floating(kind):
            values = _nan_as_null(columns.get(name, b""))
        else:
            values = pa.Array.from_buffers(kind, n_items, [None, pa.py_buffer(columns.get(name, b""))])
        offsets = pa.py_buffer(columns["list_offsets"])
        return pa.Array.from_buffers(pa.list_(values.type), n_rows, [None, offsets], children=[values])

    return read


def _strings(columns: Columns, name: str, n_rows: int) -> Array:
    buffers = [None, pa.py_buffer(columns[f"{name}_offsets"]), pa.py_buffer(columns.get(name, b""))]
    return pa.Array.from_buffers(pa.string(), n_rows, buffers)


def _nan_as_null(column: bytes) -> Array:
    values = np.frombuffer(column, np.float64)
    is_absent = np.isnan(values)
    return pa.array(values, mask=is_absent if is_absent.any() else None)


_READ: dict[str, Callable[[Columns, int], Array]] = {
    **{name: _fixed(name, kind) for name, kind in _KEYS},
    "ctx": _fixed("ctx", pa.uint64()),
    "item": _fixed("item", pa.uint64()),
    "latency_ms": _optional_number("latency_ms"),
    "value": _optional_number("value"),
    "error": lambda columns, _: _flag(columns, "error"),
    "is_conversion": lambda columns, _: _flag(columns, "is_conversion"),
    **{name: _text(name) for name in ("experiment_id", "variant", "request_id", "user_id", "item_id")},
    "items": _list("item", pa.uint64()),
    "item_ids": _list("item_id", None),
    "ranks": _list("rank", pa.int64()),
    **{f"{name}_list": _list(name, pa.float64()) for name in PROPENSITIES},
}
