"""The checks of one log file: the schema of every line or row, then the record's semantics."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from recsys.contracts.records import Assignment, Exposure, Outcome, RankList
from recsys.evaluation.findings import Example, Findings
from recsys.evaluation.inputs import Role, Source
from recsys.evaluation.log_lines import DamagedFileError, read_lines
from recsys.evaluation.validate_records import PlainExposure, Record, find_defects, find_not_finite, is_plain

_TYPES: dict[Role, type[Record]] = {
    "exposures": Exposure,
    "outcomes": Outcome,
    "assignments": Assignment,
    "ranklists": RankList,
}
_PLAIN_TYPES: dict[Role, type[Record]] = _TYPES | {"exposures": PlainExposure}
_PATH = re.compile(r" - at `\$\.?(.*)`$")
_BATCH_ROWS = 8192


def check_file(source: Source, findings: Findings, *, oldest: datetime, newest: datetime) -> int:
    """Check every line of ``source`` (row of a Parquet file) and return how many there are.

    Defects go to ``findings``; times outside ``oldest`` to ``newest`` are clock skew. A damaged file counts
    up to the damage. Raises EvaluationError when the file cannot be opened.
    """
    number = 0
    file, role = str(source.path), source.role

    def look_at(number: int, record: Record) -> None:
        for kind, severity, field, reason in find_defects(record, oldest, newest):
            findings.add(role, kind, Example(source.name, number, field, reason), severity=severity)

    def look_into(number: int, defect: _Defect) -> None:
        findings.add(role, defect.kind, Example(source.name, number, defect.field, defect.reason))

    try:
        if file.endswith(".parquet"):
            for number, row in enumerate(_read_rows(file), 1):
                converted = _convert_row(row, _TYPES[role])
                if isinstance(converted, _Defect):
                    look_into(number, converted)
                elif not is_plain(converted, oldest, newest):
                    look_at(number, converted)
        else:
            decode = msgspec.json.Decoder(_PLAIN_TYPES[role]).decode
            decode_any = msgspec.json.Decoder(_TYPES[role]).decode
            for number, line in enumerate(read_lines(file), 1):
                try:
                    if not is_plain(record := decode(line), oldest, newest):
                        look_at(number, record)
                except (msgspec.DecodeError, UnicodeDecodeError):
                    try:
                        look_at(number, decode_any(line))
                    except (msgspec.DecodeError, UnicodeDecodeError) as error:
                        look_into(number, _explain_line(line, str(error)))
    except DamagedFileError as error:
        findings.add(role, error.kind, Example(source.name, number + 1, "", str(error)))
    return number


class _Defect(msgspec.Struct, frozen=True):
    """Why a line is no record."""

    kind: str
    field: str
    reason: str


def _explain_line(line: bytes, reason: str) -> _Defect:
    if not line.endswith(b"\n") and "truncated" in reason:
        return _Defect("truncated_last_line", "", reason)
    try:
        # Unlike the decoder, the standard library reads NaN, Infinity and 1e999: that tells where they stand.
        loose = json.loads(line)
    except (ValueError, RecursionError):
        return _Defect("not_json", "", reason)
    return _explain_value(loose, reason)


def _explain_value(value: object, reason: str) -> _Defect:
    not_finite = find_not_finite(value)
    if not_finite is not None:
        return _Defect("not_finite", not_finite, "NaN and infinities are not numbers of a record")
    match = _PATH.search(reason)
    field = match.group(1) if match else ""
    if "unknown field" in reason:
        return _Defect("unknown_field", field, reason)
    if "missing required field" in reason:
        return _Defect("missing_field", field, reason)
    return _Defect("wrong_value", field, reason)


def _read_rows(file: str) -> Iterator[dict[str, object]]:
    try:
        with pq.ParquetFile(file) as parquet:
            for batch in parquet.iter_batches(_BATCH_ROWS):
                yield from batch.to_pylist(maps_as_pydicts="strict")
    except (pa.ArrowException, OSError) as error:
        raise DamagedFileError("corrupt_file", str(error)) from error


def _convert_row(row: dict[str, object], wanted: type[Record]) -> Record | _Defect:
    # A column holds null where a line leaves the key out; so does a context that is a struct.
    given = {name: value for name, value in row.items() if value is not None}
    context = given.get("context")
    if isinstance(context, dict):
        given["context"] = {key: value for key, value in context.items() if value is not None}
    not_finite = find_not_finite(given)
    if not_finite is not None:
        return _explain_value(given, "")
    try:
        return msgspec.convert(given, wanted)
    except msgspec.ValidationError as error:
        return _explain_value(given, str(error))
