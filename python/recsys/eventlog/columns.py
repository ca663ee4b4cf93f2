"""Log records as Arrow tables: the same columns as in JSON Lines, nothing lost.

An item may have keys of its own; each becomes a text column of the items, a value that is not text as JSON.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec
import pyarrow as pa

from recsys.contracts.records import ExposedItem
from recsys.eventlog.layout import LogKind

_TIME = pa.timestamp("us", tz="UTC")
_ITEM: dict[str, pa.DataType] = {
    "item_id": pa.string(),
    "rank": pa.int64(),
    "propensity": pa.float64(),
    "logging_propensity": pa.float64(),
    "target_propensity": pa.float64(),
}
_CONTEXT = pa.map_(pa.string(), pa.string())
_BASE: dict[LogKind, dict[str, pa.DataType]] = {
    "exposures": {
        "request_id": pa.string(),
        "user_id": pa.string(),
        "ts": _TIME,
        "items": pa.null(),
        "context": _CONTEXT,
        "latency_ms": pa.float64(),
        "error": pa.bool_(),
    },
    "assignments": {
        "experiment_id": pa.string(),
        "variant": pa.string(),
        "request_id": pa.string(),
        "user_id": pa.string(),
        "ts": _TIME,
        "context": _CONTEXT,
    },
    "outcomes": {
        "request_id": pa.string(),
        "user_id": pa.string(),
        "item_id": pa.string(),
        "event_type": pa.string(),
        "ts": _TIME,
        "value": pa.float64(),
    },
}

Raw = Mapping[str, object]


def to_table(kind: LogKind, records: Sequence[Raw]) -> pa.Table:
    """Return records, as decoded from their lines with ``ts`` a time, as a table."""
    columns = dict(_BASE[kind])
    if kind == "exposures":
        columns["items"] = pa.list_(pa.struct(_item_fields(records)))
    arrays = []
    for name, data_type in columns.items():
        values: list[object] = [record.get(name) for record in records]
        if name == "context":
            values = [list(value.items()) if isinstance(value, dict) else None for value in values]
        elif name == "items":
            values = [[_plain(item) for item in _items(record)] for record in records]
        arrays.append(pa.array(values, type=data_type))
    return pa.Table.from_arrays(arrays, schema=pa.schema(list(columns.items())))


def _item_fields(records: Iterable[Raw]) -> list[pa.Field[pa.DataType]]:
    own = {key for record in records for item in _items(record) for key in item}
    extra = sorted(own.difference(_ITEM))
    return [pa.field(name, kind) for name, kind in _ITEM.items()] + [
        pa.field(name, pa.string()) for name in extra
    ]


def _items(record: Raw) -> list[dict[str, object]]:
    items = record["items"]
    if not isinstance(items, list):
        raise TypeError("items of a checked exposure are a list")
    return items


def _plain(item: dict[str, object]) -> dict[str, object]:
    return {
        key: value if key in ExposedItem.__struct_fields__ or isinstance(value, str) else _as_json(value)
        for key, value in item.items()
    }


def _as_json(value: object) -> str:
    return msgspec.json.encode(value).decode()
