"""Logs in another shape: a file that says where their fields are, and their lines as our records.

The file is TOML with a table per log; only what is called otherwise has to be named. A name is a key, or keys
with dots between them:

    [exposures]
    request_id = "req.id"
    ts = { from = "at", unit = "ms" }
    items = { from = "results", item_id = "sku", rank = "position" }
    context = { surface = "page" }

    [outcomes]
    event_type = { from = "action", click = ["open"], conversion = ["buy"] }

Items without ``rank`` count from 1 as they stand, and items without ``item_id`` are ids themselves. Numbers
as ids become text. Keys that the file does not name are left out; a field that is not there stays missing, so
the check of logs names it.
"""

from __future__ import annotations

from codecs import BOM_UTF8
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Literal, cast

import msgspec
from msgspec import Struct, field

from recsys.contracts.errors import EvaluationError

_UNITS = {"s": timedelta(seconds=1), "ms": timedelta(milliseconds=1), "us": timedelta(microseconds=1)}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MISSING = object()
_IDS = ("request_id", "user_id", "item_id", "experiment_id", "variant")


class TimeField(Struct, frozen=True, forbid_unknown_fields=True):
    """A time that is a number since 1970 in ``unit``."""

    source: str = field(name="from")
    unit: Literal["s", "ms", "us"]


class ItemsField(Struct, frozen=True, forbid_unknown_fields=True):
    """A list of items, and where in each its fields are."""

    source: str = field(name="from", default="items")
    item_id: str | None = None
    rank: str | None = None
    propensity: str | None = None
    logging_propensity: str | None = None
    target_propensity: str | None = None


class EventField(Struct, frozen=True, forbid_unknown_fields=True):
    """The kind of an outcome, and which values are which."""

    source: str = field(name="from", default="event_type")
    click: list[str] = []
    conversion: list[str] = []


class LogMapping(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the fields of one log are; None leaves a field where its name says."""

    request_id: str | None = None
    user_id: str | None = None
    ts: str | TimeField | None = None
    items: str | ItemsField | None = None
    item_id: str | None = None
    event_type: str | EventField | None = None
    value: str | None = None
    latency_ms: str | None = None
    error: str | None = None
    experiment_id: str | None = None
    variant: str | None = None
    context: str | dict[str, str] | None = None

    def map_lines(self, block: bytes, fields: tuple[str, ...], *, has_ranks: bool) -> bytes:
        """Return a block of lines as records with ``fields``, a line for each; what is no object of JSON is
        left for the check to explain. The items of a record that has no ranks are ids.
        """
        return b"".join(self._map_line(line, fields, has_ranks) for line in BytesIO(block))

    def _map_line(self, line: bytes, fields: tuple[str, ...], has_ranks: bool) -> bytes:
        try:
            record = msgspec.json.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return line
        if not isinstance(record, dict):
            return line
        found = {name: self._read(name, record) for name in fields}
        if isinstance(self.items, ItemsField) and not has_ranks:
            found["items"] = _read_ids(record, self.items)
        given = {name: value for name, value in found.items() if value is not _MISSING}
        return msgspec.json.encode(given) + b"\n"

    def _read(self, name: str, record: dict[str, object]) -> object:
        where = getattr(self, name)
        if isinstance(where, TimeField):
            return _read_time(record, where)
        if isinstance(where, ItemsField):
            return _read_items(record, where)
        if isinstance(where, EventField):
            value = _find(record, where.source)
            return "click" if value in where.click else "conversion" if value in where.conversion else value
        if isinstance(where, dict):
            pairs = {key: _find(record, path) for key, path in where.items()}
            return {key: _text(value) for key, value in pairs.items() if value not in (_MISSING, None)}
        value = _find(record, where or name)
        return _text(value) if name in _IDS else value


class Mappings(Struct, frozen=True, forbid_unknown_fields=True):
    """The mapping of each log that has another shape."""

    exposures: LogMapping | None = None
    outcomes: LogMapping | None = None
    assignments: LogMapping | None = None
    ranklists: LogMapping | None = None


def read_mappings(path: Path) -> Mappings:
    """Return the mappings in the TOML file at ``path``; raises EvaluationError naming file and field."""
    try:
        return msgspec.toml.decode(path.read_bytes().removeprefix(BOM_UTF8), type=Mappings)
    except OSError as error:
        raise EvaluationError(f"mapping: {path} cannot be read: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise EvaluationError(f"mapping: {path}: {error}") from error


def _find(record: object, path: str) -> object:
    """Return the value at a key, or at keys with dots between them."""
    if isinstance(record, dict) and path in record:
        return record[path]
    for key in path.split("."):
        if not isinstance(record, dict) or key not in record:
            return _MISSING
        record = record[key]
    return record


def _text(value: object) -> object:
    """Return a number or a truth as the text that JSON has for it; anything else as it is."""
    return msgspec.json.encode(value).decode() if isinstance(value, int | float) else value


def _read_time(record: object, where: TimeField) -> object:
    value = _find(record, where.source)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    try:
        return (_EPOCH + value * _UNITS[where.unit]).isoformat()
    except OverflowError:
        return value


def _read_ids(record: object, where: ItemsField) -> object:
    listed = _find(record, where.source)
    if not isinstance(listed, list) or where.item_id is None:
        return listed
    return [_text(None if (found := _find(item, where.item_id)) is _MISSING else found) for item in listed]


def _read_items(record: object, where: ItemsField) -> object:
    listed = _find(record, where.source)
    if not isinstance(listed, list):
        return listed
    names = ("propensity", "logging_propensity", "target_propensity")
    items = []
    for place, item in enumerate(cast("list[object]", listed), 1):
        item_id = item if where.item_id is None else _find(item, where.item_id)
        given: dict[str, object] = {"item_id": _text(item_id)}
        given["rank"] = place if where.rank is None else _find(item, where.rank)
        paths = {name: getattr(where, name) for name in names}
        given |= {name: _find(item, path) for name, path in paths.items() if path is not None}
        items.append({name: value for name, value in given.items() if value is not _MISSING})
    return items
