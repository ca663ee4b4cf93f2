"""The line checks of JSON Lines logs: schema, clock, ranks, pseudonyms and propensities, one line in
memory at a time."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Literal, cast

import msgspec
import pyarrow as pa

from recsys.contracts.errors import EvaluationError
from recsys.contracts.records import Assignment, Exposure, Outcome, RankList
from recsys.evaluation.findings import Example, Findings

Role = Literal["exposures", "outcomes", "assignments", "ranklists"]
Record = Exposure | Outcome | Assignment | RankList

_TYPES: dict[Role, type[Record]] = {
    "exposures": Exposure,
    "outcomes": Outcome,
    "assignments": Assignment,
    "ranklists": RankList,
}
_PSEUDONYM = re.compile(r"[0-9a-f]{64}")
_NOT_FINITE = re.compile(rb"[:\[,]\s*(NaN|-?Infinity|nan|-?inf)\b")
_PATH = re.compile(r" - at `\$\.?(.*)`$")


def check_lines(file: str, role: Role, findings: Findings, *, oldest: datetime, newest: datetime) -> int:
    """Check every line of ``file`` and return how many there are; defects go to ``findings``.

    Times outside ``oldest`` to ``newest`` are clock skew. Raises EvaluationError when the file cannot be
    read.
    """
    decoder = msgspec.json.Decoder(_TYPES[role])
    decode = decoder.decode
    number = 0
    try:
        for number, line in enumerate(_lines(file), 1):
            try:
                record = decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                _add_schema_defect(file, number, line, str(error), role, findings)
                continue
            for kind, field, reason in _defects(record, oldest, newest):
                findings.add(role, kind, Example(file, number, field, reason))
    except (EOFError, OSError) as error:
        findings.add(role, "truncated_file", Example(file, number, "", str(error)))
    return number


def _add_schema_defect(
    file: str, number: int, line: bytes, reason: str, role: Role, findings: Findings
) -> None:
    match = _PATH.search(reason)
    field = match.group(1) if match else ""
    if _NOT_FINITE.search(line):
        kind = "not_finite"
        reason = "NaN and infinities are not JSON numbers"
    elif not line.endswith(b"\n") and "truncated" in reason:
        kind = "truncated_last_line"
    elif "unknown field" in reason:
        kind = "unknown_field"
    elif "missing required field" in reason:
        kind = "missing_field"
    elif match:
        kind = "wrong_value"
    else:
        kind = "not_json"
    findings.add(role, kind, Example(file, number, field, reason))


def _defects(record: Record, oldest: datetime, newest: datetime) -> Iterator[tuple[str, str, str]]:
    if not _PSEUDONYM.fullmatch(record.user_id):
        yield "not_a_pseudonym", "user_id", "not 64 lower-case hexadecimal characters"
    if record.ts > newest:
        yield "clock_in_future", "ts", f"{record.ts.isoformat()} is after {newest.isoformat()}"
    elif record.ts < oldest:
        yield "clock_too_old", "ts", f"{record.ts.isoformat()} is before {oldest.isoformat()}"
    if isinstance(record, Exposure):
        ranks = [item.rank for item in record.items]
        if len(set(ranks)) < len(ranks):
            yield "duplicate_rank", "items[].rank", "a rank occurs twice in the list"
        elif ranks and max(ranks) != len(ranks):
            yield "rank_gap", "items[].rank", f"{len(ranks)} items with ranks up to {max(ranks)}"
        if len({item.item_id for item in record.items}) < len(ranks):
            yield "duplicate_item", "items[].item_id", "an item occurs twice in the list"
        if any(0.0 in (item.propensity, item.logging_propensity) for item in record.items):
            yield "zero_propensity", "items[].propensity", "an item that was shown cannot have propensity 0"


def _lines(file: str) -> Iterator[bytes]:
    if file.endswith(".jsonl"):
        with Path(file).open("rb") as plain:
            yield from plain
    elif file.endswith(".gz"):
        with gzip.open(file, "rb") as packed:
            yield from packed
    elif file.endswith(".zst"):
        with pa.CompressedInputStream(pa.OSFile(file, "rb"), "zstd") as stream:
            yield from _split(cast("BinaryIO", stream))
    else:
        raise EvaluationError(f"{file} is not a JSON Lines file")


def _split(stream: BinaryIO) -> Iterator[bytes]:
    rest = b""
    while chunk := stream.read(1 << 20):
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line + b"\n"
    if rest:
        yield rest
