"""How each file format is opened: its parser, the columns it has, and the types to read them as."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from io import BytesIO

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.json as pa_json

from recsys.pipelines.input.columns import Column, ColumnType
from recsys.pipelines.input.errors import InputError
from recsys.pipelines.input.files import InputFile
from recsys.pipelines.input.quotes import are_quotes_sound
from recsys.pipelines.input.salvage import UNSOUND_QUOTES, Parse
from recsys.pipelines.input.text import TextBlock, TextRecord, split_records

_JSON_TYPES: dict[ColumnType, tuple[pa.DataType, ...]] = {
    "id": (pa.string(), pa.int64()),
    "text": (pa.string(), pa.int64()),
    "time": (pa.string(), pa.int64(), pa.float64()),
    "day": (pa.string(), pa.int64(), pa.float64()),
    "number": (pa.float64(),),
    "integer": (pa.int64(),),
    "flag": (pa.bool_(),),
    "tags": (pa.list_(pa.string()), pa.string()),
}
"""The JSON types that a column may have; the first is taken when the file's first record does not tell."""


def csv_header(file: InputFile, block: TextBlock) -> tuple[list[str], TextBlock]:
    """Return a CSV file's column names, and its first block without the header line."""
    records = split_records(TextBlock(block.data[: 1 << 20], block.first_line), quoted=True)
    if not records:
        raise InputError(f"{file.path}: empty, not even a header line")
    data, where = records[0].data, f"{file.path} line {records[0].line}"
    if b"\r" in data:
        raise InputError(f"{where}: lines end in a carriage return alone; they have to end in a line feed")
    if not are_quotes_sound(data):
        raise InputError(f"{where}: not a CSV header: {UNSOUND_QUOTES}")
    try:
        data.decode("utf-8")
        table = pa_csv.read_csv(BytesIO(data + b"\n"))
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: not text in UTF-8: {error.reason}") from error
    except pa.ArrowInvalid as error:
        raise InputError(f"{where}: not a CSV header: {error}") from error
    end = block.data.find(records[0].data) + len(records[0].data)
    line_end = block.data.find(b"\n", end) + 1 or len(block.data)
    consumed = block.data[:line_end].count(b"\n")
    return table.column_names, TextBlock(block.data[line_end:], block.first_line + consumed)


def csv_parser(names: Sequence[str], wanted: Sequence[str]) -> Parse:
    """Return a parser of CSV records: the ``wanted`` columns as strings, empty ones as null."""
    read = pa_csv.ReadOptions(column_names=list(names))
    rows = pa_csv.ParseOptions(newlines_in_values=True)
    convert = pa_csv.ConvertOptions(
        column_types=dict.fromkeys(wanted, pa.string()),
        include_columns=list(wanted),
        strings_can_be_null=True,
        null_values=[""],
    )

    def parse(data: bytes) -> pa.Table:
        return pa_csv.read_csv(BytesIO(data), read, rows, convert)

    return parse


def json_schema(block: TextBlock, columns: Sequence[tuple[Column, str]]) -> pa.Schema:
    """Return the types to read the columns of a JSON Lines file as, by its first record that parses."""
    seen = _first_json_schema(split_records(TextBlock(block.data[: 1 << 20], 1), quoted=False)[:100])
    fields: dict[str, pa.DataType] = {}
    for column, source in columns:
        allowed = _JSON_TYPES[column.type]
        index = seen.get_field_index(source) if seen is not None else -1
        found = _stored_type(seen.field(index).type) if seen is not None and index >= 0 else None
        fields[source] = found if found in allowed else allowed[0]
    return pa.schema(list(fields.items()))


def _first_json_schema(records: Sequence[TextRecord]) -> pa.Schema | None:
    for record in records:
        try:
            _refuse_other_than_objects(record.data)
            return pa_json.read_json(BytesIO(record.data)).schema
        except pa.ArrowInvalid:
            continue
    return None


def _stored_type(found: pa.DataType) -> pa.DataType:
    """Undo the reader's own recognition of times: a time is read as the string that it is."""
    return pa.string() if pa.types.is_timestamp(found) else found


def json_parser(schema: pa.Schema, *, refuse_unknown: bool) -> Parse:
    """Return a parser of JSON Lines: the columns of ``schema``; other keys are ignored or refused."""
    options = pa_json.ParseOptions(
        explicit_schema=schema, unexpected_field_behavior="error" if refuse_unknown else "ignore"
    )
    parallel = pa_json.ReadOptions(block_size=1 << 20)

    def parse(data: bytes) -> pa.Table:
        _refuse_other_than_objects(data)
        try:
            table = pa_json.read_json(BytesIO(data), parallel, options)
        except pa.ArrowInvalid as error:
            if "straddl" not in str(error):
                raise
            # A record longer than a parallel reader's block: one block for all of it.
            table = pa_json.read_json(BytesIO(data), pa_json.ReadOptions(block_size=len(data)), options)
        table.validate(full=True)
        return table

    return parse


def has_json_key(data: bytes, key: str) -> bool:
    """Tell whether JSON text has ``key`` as the name of a value, or what looks like it inside a string."""
    names = {json.dumps(key), json.dumps(key, ensure_ascii=False)}
    return any(re.search(re.escape(name.encode()) + rb"\s*:", data) for name in names)


def _refuse_other_than_objects(data: bytes) -> None:
    """Raise ``pa.ArrowInvalid`` unless every line begins an object: a ``null`` crashes Arrow's parser."""
    lines = data.count(b"\n") + (not data.endswith(b"\n"))
    if lines == data.count(b"\n{") + data.startswith(b"{"):
        return
    for line in data.split(b"\n"):
        if (text := line.strip()) and not text.startswith(b"{"):
            raise pa.ArrowInvalid("not a JSON object")
