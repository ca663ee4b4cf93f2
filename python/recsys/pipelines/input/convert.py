"""Columns of any type to columns of ours, whole columns at a time; a value that does not fit is located."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys.pipelines.input.columns import Column
from recsys.pipelines.input.mapping import ColumnMapping

Values: TypeAlias = "pa.Array[Any]"  # its type is only known at run time
Cast: TypeAlias = "Callable[[Values], Values]"

_FLAGS = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}
_TEXTS = (
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_string_view,
    pa.types.is_binary,
    pa.types.is_large_binary,
)
_PER_MS = {"s": 1000.0, "ms": 1.0, "us": 1e-3, "ns": 1e-6}
_MIN_MS = -62_135_596_800_000  # the year 1
_MAX_MS = 253_402_300_799_999  # the last of the year 9999


@dataclass
class Converted:
    """A column of ours, and per row that does not fit, why; such a row's value is null."""

    values: Values
    faults: dict[int, str] = field(default_factory=dict)


def convert_column(column: Column, values: Values, mapping: ColumnMapping) -> Converted:
    """Return ``values`` as our type of ``column``, with a reason for every row that cannot be.

    Types: ids and texts are strings, times int64 Unix milliseconds, numbers float64, integers int64,
    flags bool, tags lists of strings. A day is the time that it is given as.
    """
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    expected = _EXPECTED[column.type]
    if column.type in ("time", "day") and mapping.time_unit is not None:
        expected = f"expected a number of {mapping.time_unit} since 1970, in the years 1 to 9999"
    elif column.type == "time" and mapping.timezone is not None:
        expected = (
            f"expected a time, such as 2026-01-31T08:00:00Z or, in {mapping.timezone}, 2026-01-31 08:00"
        )
    converted = _cast_or_locate(values, _caster(column, values.type, mapping), column, expected)
    _check_bounds(column, converted)
    if column.required and converted.values.null_count > 0:
        _mark(column, converted, pc.is_null(converted.values), "is missing")
    return converted


def _caster(column: Column, found: pa.DataType, mapping: ColumnMapping) -> Cast:
    match column.type:
        case "id" | "text":
            return _to_string
        case "number":
            return _to_number
        case "integer":
            return lambda values: values.cast(pa.int64())
        case "flag":
            return _to_flag
        case "tags":
            return lambda values: _to_tags(values, mapping.tag_separator)
        case "time" | "day":
            return _time_caster(found, mapping)


def _cast_or_locate(values: Values, convert: Cast, column: Column, expected: str) -> Converted:
    try:
        return Converted(convert(values))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        pass
    parts: list[tuple[int, Values]] = []
    faults: dict[int, str] = {}
    pending = [(0, len(values))]
    while pending:
        start, length = pending.pop()
        part = values.slice(start, length)
        try:
            parts.append((start, convert(part)))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            if length > 1:
                half = length // 2
                pending += [(start, half), (start + half, length - half)]
            else:
                faults[start] = f"{column.name} is {_shown(plain_value(part[0]))}: {expected}"
                parts.append((start, pa.nulls(1)))
    parts.sort(key=lambda part: part[0])
    good = next((part.type for _, part in parts if not pa.types.is_null(part.type)), pa.null())
    return Converted(pa.concat_arrays([part.cast(good) for _, part in parts]), faults)


_EXPECTED = {
    "id": "expected a string or an integer",
    "text": "expected a string",
    "number": "expected a number",
    "integer": "expected an integer",
    "flag": "expected true or false",
    "tags": "expected a list of strings, or one string with separators",
    "time": "expected a time with a zone, such as 2026-01-31T08:00:00Z (--timezone says that of the others)",
    "day": "expected a day, such as 2026-01-31",
}
"""What is said of a value that does not fit; times that are numbers have their own."""


def plain_value(scalar: pa.Scalar[Any]) -> object:
    """Return a scalar's value, as text where Python has no value for it (a time past the year 9999)."""
    try:
        return scalar.as_py()
    except (OverflowError, ValueError):
        return f"{scalar.cast(pa.int64()).as_py()} as {scalar.type}"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _check_bounds(column: Column, converted: Converted) -> None:
    values = converted.values
    if pa.types.is_null(values.type):
        return
    wrong: Values | None = None
    reason = ""
    if column.type == "id":
        wrong, reason = pc.equal(cast("pa.StringArray", values), pa.scalar("")), "is empty"
    elif column.type == "number":
        wrong, reason = pc.invert(pc.is_finite(values)), "is not finite"
    elif column.equals is not None:
        wrong, reason = pc.not_equal(values, pa.scalar(column.equals)), f"is not {column.equals}"
    _mark(column, converted, wrong, reason)
    if column.minimum is not None:
        _mark(column, converted, pc.less(values, pa.scalar(column.minimum)), f"is below {column.minimum:g}")


def _mark(column: Column, converted: Converted, wrong: Values | None, reason: str) -> None:
    if wrong is not None and pc.any(wrong).as_py():
        for row in np.flatnonzero(wrong.fill_null(False).to_numpy(zero_copy_only=False)):
            converted.faults.setdefault(int(row), f"{column.name} {reason}")


def _to_string(values: Values) -> Values:
    found = values.type
    is_text = any(is_type(found) for is_type in _TEXTS)
    if not (is_text or pa.types.is_integer(found) or pa.types.is_null(found)):
        raise pa.ArrowInvalid("not a string or an integer")
    return values.cast(pa.string())


def _to_number(values: Values) -> Values:
    if pa.types.is_boolean(values.type):
        raise pa.ArrowInvalid("not a number")
    # An integer over 2^53 is rounded, as in any other number of this type.
    return values.cast(pa.float64(), safe=not pa.types.is_integer(values.type))


def _to_flag(values: Values) -> Values:
    if pa.types.is_boolean(values.type) or pa.types.is_null(values.type):
        return values.cast(pa.bool_())
    texts = pc.utf8_lower(values.cast(pa.string()))
    known = pa.array(list(_FLAGS))
    if pc.any(pc.and_(pc.is_valid(texts), pc.invert(pc.is_in(texts, known)))).as_py():
        raise pa.ArrowInvalid("not a flag")
    return pa.array(list(_FLAGS.values())).take(pc.index_in(texts, known))


def _to_tags(values: Values, separator: str) -> Values:
    found = values.type
    if pa.types.is_list(found) or pa.types.is_large_list(found) or pa.types.is_null(found):
        return values.cast(pa.list_(pa.string()))
    return pc.split_pattern(_to_string(values), separator).cast(pa.list_(pa.string()))


def _time_caster(found: pa.DataType, mapping: ColumnMapping) -> Cast:
    if pa.types.is_null(found):
        return lambda values: values.cast(pa.int64())
    if pa.types.is_integer(found) or pa.types.is_floating(found):
        return lambda values: _numbers_to_ms(values, mapping)
    if pa.types.is_temporal(found):
        return lambda values: _to_ms(values, mapping)
    return lambda values: _texts_to_ms(values, mapping)


def _numbers_to_ms(values: Values, mapping: ColumnMapping) -> Values:
    if mapping.time_unit is None:
        raise pa.ArrowInvalid("a number, and no unit given")
    scaled = pc.floor(pc.multiply(values.cast(pa.float64(), safe=False), _PER_MS[mapping.time_unit]))
    return _in_range(scaled)


def _texts_to_ms(values: Values, mapping: ColumnMapping) -> Values:
    if mapping.time_unit is not None:
        return _numbers_to_ms(values.cast(pa.float64()), mapping)
    zones = ["UTC"] if mapping.timezone is None else ["UTC", None]
    fault: pa.ArrowInvalid | None = None
    # Microseconds hold any year; only nine digits of a second need nanoseconds.
    for unit in ("us", "ns"):
        for zone in zones:
            try:
                return _to_ms(values.cast(pa.timestamp(unit, zone)), mapping)
            except pa.ArrowInvalid as error:
                fault = error
    raise fault or pa.ArrowInvalid("not a time")


def _to_ms(values: Values, mapping: ColumnMapping) -> Values:
    if pa.types.is_date(values.type):
        values = values.cast(pa.timestamp("ms"))
    if not pa.types.is_timestamp(values.type):
        raise pa.ArrowInvalid("not a time")
    if values.type.tz is None:
        if mapping.timezone is None:
            raise pa.ArrowInvalid("no zone")
        values = pc.assume_timezone(
            cast("pa.TimestampArray", values), mapping.timezone, ambiguous="earliest", nonexistent="earliest"
        )
    return _in_range(values.cast(pa.timestamp("ms", "UTC"), safe=False).cast(pa.int64()))


def _in_range(ms: Values) -> Values:
    outside = pc.or_(pc.less(ms, pa.scalar(_MIN_MS)), pc.greater(ms, pa.scalar(_MAX_MS)))
    if pc.any(outside).as_py():
        raise pa.ArrowInvalid("out of range")
    return ms.cast(pa.int64())
