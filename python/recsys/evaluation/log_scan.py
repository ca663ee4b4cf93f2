"""Reading logs: sound records to Arrow batches, and what is not sound to an inspector.

The native scanner reads what is surely sound. What it doubts is decoded here by the strict types of the
contracts, which say what is wrong and where. A record that they accept though the scanner did not (a time
with nine digits, say) is written in the usual way and scanned again, so that the rows hold every sound
record.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

import msgspec
import pyarrow as pa

from recsys._native import LogScanner
from recsys.contracts.records import Assignment, Exposure, Outcome, RankList
from recsys.evaluation.findings import Defect
from recsys.evaluation.inputs import Role, Source
from recsys.evaluation.log_blocks import DamagedFileError, read_ahead, read_blocks
from recsys.evaluation.log_parquet import read_rows
from recsys.evaluation.log_rows import batch_of, schema_of
from recsys.evaluation.validate_records import Record, find_not_finite

_TYPES: dict[Role, type[Record]] = {
    "exposures": Exposure,
    "outcomes": Outcome,
    "assignments": Assignment,
    "ranklists": RankList,
}
_PATH = re.compile(r" - at `\$\.?(.*)`$")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Contexts = list[tuple[int, list[tuple[str, str]]]]


class Inspector(Protocol):
    """Is told what a scan doubts: lines count from 1, in a Parquet file rows."""

    def look_at(self, source: Source, number: int, record: Record) -> None:
        """Look at a record of the right shape that may not make sense."""

    def look_into(self, source: Source, number: int, defect: Defect) -> None:
        """Take note of a line that is no record, or of a file that cannot be read past it."""


@dataclass(frozen=True, slots=True)
class Scan:
    """How a log is scanned: records outside ``oldest`` to ``newest`` are doubtful, ``on_contexts`` gets each
    context once, and names come with the rows when ``with_names``.
    """

    inspector: Inspector
    on_contexts: Callable[[Contexts], None]
    oldest: datetime
    newest: datetime
    with_names: bool

    def read(
        self, role: Role, sources: list[Source], on_lines: Callable[[int], None]
    ) -> Iterator[pa.RecordBatch]:
        """Yield the records of ``sources``; ``on_lines`` is told the lines of every block."""
        scanner = LogScanner(
            role,
            oldest_us=(self.oldest - _EPOCH) // timedelta(microseconds=1),
            newest_us=(self.newest - _EPOCH) // timedelta(microseconds=1),
            with_names=self.with_names,
        )
        schema = schema_of(role, with_names=self.with_names)
        for source in sources:
            number = 0
            try:
                for block, rows in read_ahead(_blocks(source)):
                    n_lines, doubts, contexts, pieces = scanner.scan(block)
                    again: dict[int, bytes] = {}
                    for line, start, end, is_kept in doubts:
                        record = self._inspect(source, number + line + 1, block[start:end], line, rows)
                        if record is not None and not is_kept:
                            again[number + line + 1] = msgspec.json.encode(record) + b"\n"
                    if again:
                        _, doubts, more, rescued = scanner.scan(b"".join(again.values()))
                        contexts, pieces = contexts + more, pieces + rescued
                        self._report_lost(source, list(again), doubts)
                    if contexts:
                        self.on_contexts(contexts)
                    number += n_lines
                    on_lines(n_lines)
                    for columns in pieces:
                        yield batch_of(columns, schema)
            except DamagedFileError as error:
                self.inspector.look_into(source, number + 1, Defect(error.kind, "", str(error)))

    def _report_lost(
        self, source: Source, numbers: list[int], doubts: list[tuple[int, int, int, bool]]
    ) -> None:
        for line, _, _, is_kept in doubts:
            if not is_kept:
                reason = "a rank beyond 64 bits, or a year before 1900"
                self.inspector.look_into(source, numbers[line], Defect("wrong_value", "", reason))

    def _inspect(
        self, source: Source, number: int, line: bytes, index: int, rows: pa.RecordBatch | None
    ) -> Record | None:
        """Return the record of a doubtful line, None when it is none; either way the inspector knows."""
        wanted = _TYPES[source.role]
        found = _decode_line(line, wanted) if rows is None else _convert_row(rows.slice(index, 1), wanted)
        if isinstance(found, Defect):
            self.inspector.look_into(source, number, found)
            return None
        self.inspector.look_at(source, number, found)
        return found


def _blocks(source: Source) -> Iterator[tuple[bytes, pa.RecordBatch | None]]:
    blocks: Iterator[tuple[bytes, pa.RecordBatch | None]]
    if source.path.name.endswith(".parquet"):
        blocks = iter(read_rows(source.path))
    else:
        blocks = ((block, None) for block in read_blocks(source.path))
    if source.mapping is None:
        yield from blocks
    else:
        fields = _TYPES[source.role].__struct_fields__
        for block, _ in blocks:
            yield source.mapping.map_lines(block, fields, has_ranks=source.role == "exposures"), None


def _decode_line(line: bytes, wanted: type[Record]) -> Record | Defect:
    try:
        return msgspec.json.decode(line, type=wanted)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return _explain_line(line, str(error))


def _explain_line(line: bytes, reason: str) -> Defect:
    if line.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return Defect(
            "byte_order_mark", "", "the line starts with a byte order mark: write UTF-8 without one"
        )
    if not line.endswith(b"\n") and "truncated" in reason:
        return Defect("truncated_last_line", "", reason)
    try:
        # Unlike the decoder, the standard library reads NaN, Infinity and 1e999: that tells where they stand.
        loose = json.loads(line)
    except (ValueError, RecursionError):
        return Defect("not_json", "", reason)
    return _explain_value(loose, reason)


def _explain_value(value: object, reason: str) -> Defect:
    not_finite = find_not_finite(value)
    if not_finite is not None:
        return Defect("not_finite", not_finite, "NaN and infinities are not numbers of a record")
    match = _PATH.search(reason)
    field = match.group(1) if match else ""
    if "unknown field" in reason:
        return Defect("unknown_field", field, reason)
    if "missing required field" in reason:
        return Defect("missing_field", field, reason)
    return Defect("wrong_value", field, reason)


def _convert_row(row: pa.RecordBatch, wanted: type[Record]) -> Record | Defect:
    try:
        values = row.to_pylist(maps_as_pydicts="strict")[0]
    except (pa.ArrowException, ValueError, KeyError) as error:
        return Defect("wrong_value", "", str(error))
    # A column holds null where a line leaves the key out; so does a context that is a struct.
    given = {name: value for name, value in values.items() if value is not None}
    context = given.get("context")
    if isinstance(context, dict):
        given["context"] = {key: value for key, value in context.items() if value is not None}
    if find_not_finite(given) is not None:
        return _explain_value(given, "")
    try:
        return msgspec.convert(given, wanted)
    except msgspec.ValidationError as error:
        return _explain_value(given, str(error))
