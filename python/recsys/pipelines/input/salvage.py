"""Parsing a block of records of which some may be bad: the good ones as a table, the bad ones by line.

A block is parsed as a whole. Only when that fails is it halved, and halved again, until the bad records stand
alone: good input pays nothing for it, and there is one parser, so one opinion of what is bad.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa

from recsys.pipelines.input.quotes import are_quotes_sound
from recsys.pipelines.input.text import TextBlock, TextRecord, split_records, take_records_apart

Parse = Callable[[bytes], pa.Table]
"""Turns whole records into a table; raises ``pa.ArrowInvalid`` when any of them is bad."""

UNSOUND_QUOTES = "a quote is not closed, or not at the end of its value, or a carriage return stands alone"

_NOISE = re.compile(
    r"^(JSON parse error: |CSV parse error: |Column \d+: In chunk \d+: Invalid: )|( in row \d+)$"
)


@dataclass(frozen=True)
class BadRecord:
    """A record that does not parse, and why."""

    record: TextRecord
    reason: str


@dataclass(frozen=True)
class Salvaged:
    """The rows of a block's good records; ``records`` is filled when the block had to be taken apart."""

    table: pa.Table | None
    records: Sequence[TextRecord] | None
    bad: Sequence[BadRecord]


def parse_block(block: TextBlock, parse: Parse, *, quoted: bool, count_records: bool) -> Salvaged:
    """Parse a block; take it apart if that fails or, with ``count_records``, gives not a row per record."""
    bad: list[BadRecord] = []
    if quoted and not are_quotes_sound(block.data):
        whole, unsound = take_records_apart(block)
        bad = [BadRecord(record, UNSOUND_QUOTES) for record in unsound]
    else:
        try:
            table = parse(block.data)
            if not count_records or table.num_rows == _count_lines(block.data):
                return Salvaged(table, None, ())
        except pa.ArrowInvalid:
            pass
        whole = split_records(block, quoted=quoted)
    tables: list[pa.Table] = []
    good: list[TextRecord] = []
    pending = [whole]
    while pending:
        records = pending.pop()
        if not records:
            continue
        try:
            table = parse(b"\n".join(record.data for record in records))
            reason = "more or less than one row"
            if table.num_rows == len(records):
                tables.append(table)
                good.extend(records)
                continue
        except pa.ArrowInvalid as error:
            reason = _NOISE.sub("", str(error))
        if len(records) > 1:
            middle = len(records) // 2
            pending.extend((records[middle:], records[:middle]))
        elif len(lines := _plain_lines(records[0])) > 1:
            pending.append(lines)
        else:
            bad.append(BadRecord(records[0], reason))
    return Salvaged(pa.concat_tables(tables) if tables else None, good, bad)


def _count_lines(data: bytes) -> int:
    lines = data.count(b"\n") + (not data.endswith(b"\n"))
    return lines - data.count(b"\n\n")


def _plain_lines(record: TextRecord) -> list[TextRecord]:
    """Take apart what a stray quote joined."""
    lines = record.data.split(b"\n")
    return [TextRecord(line, record.line + index) for index, line in enumerate(lines) if line.strip()]
