"""Text files as blocks of whole records, with the line that each begins at.

A record of a CSV file may hold line breaks inside quotes. A newline ends a record when the number of quotes
before it is even, which is what quoting by doubling means (RFC 4180). Where quotes are not as they should be,
:mod:`recsys.pipelines.input.quotes` finds the records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pyarrow as pa

from recsys.pipelines.input.errors import InputError
from recsys.pipelines.input.files import InputFile
from recsys.pipelines.input.quotes import last_record_end, split_unsound

BLOCK_BYTES = 4 << 20
MAX_RECORD_BYTES = 16 << 20
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class TextBlock:
    """Whole records of a file, the first of them at ``first_line`` (from 1)."""

    data: bytes
    first_line: int


@dataclass(frozen=True)
class TextRecord:
    """One record, without its line end, and the line that it begins at."""

    data: bytes
    line: int


def read_blocks(file: InputFile, *, quoted: bool, advance: Callable[[int], None]) -> Iterator[TextBlock]:
    """Yield a file's content in blocks of about 4 MiB; ``advance`` is told the stored bytes consumed.

    Raises :class:`InputError` for a damaged compressed file and for a record over 16 MiB.
    """
    rest = b""
    line = 1
    told = 0
    try:
        with pa.OSFile(str(file.path), "rb") as stored, _decompressed(stored, file) as stream:
            while chunk := stream.read(BLOCK_BYTES):
                if told == 0:
                    chunk = chunk.removeprefix(_BYTE_ORDER_MARK)
                data = rest + chunk
                end = _last_record_end(data, quoted=quoted)
                if end == 0 and len(data) > MAX_RECORD_BYTES:
                    raise InputError(f"{file.path} line {line}: a record over {MAX_RECORD_BYTES >> 20} MiB")
                if end:
                    yield TextBlock(data[:end], line)
                    line += data.count(b"\n", 0, end)
                rest = data[end:]
                advance(stored.tell() - told)
                told = stored.tell()
    except OSError as error:
        raise InputError(f"{file.path} after line {line}: {error}") from error
    if rest:
        yield TextBlock(rest, line)


def _decompressed(stored: pa.NativeFile, file: InputFile) -> pa.NativeFile:
    return pa.CompressedInputStream(stored, file.compression) if file.compression else stored


def _last_record_end(data: bytes, *, quoted: bool) -> int:
    return last_record_end(data, most=BLOCK_BYTES) if quoted else data.rfind(b"\n") + 1


def split_records(block: TextBlock, *, quoted: bool) -> list[TextRecord]:
    """Return the records of a block; blank lines between them are none."""
    records: list[TextRecord] = []
    pending: list[bytes] = []
    quotes = 0
    begins = block.first_line
    for line, text in enumerate(block.data.removesuffix(b"\n").split(b"\n"), block.first_line):
        if not pending:
            begins = line
        pending.append(text)
        quotes += text.count(b'"')
        if quoted and quotes % 2:
            continue
        _append(records, pending, begins, quoted=quoted)
        pending = []
    if pending:
        _append(records, pending, begins, quoted=quoted)
    return records


def _append(records: list[TextRecord], parts: list[bytes], line: int, *, quoted: bool) -> None:
    data = b"\n".join(parts).removesuffix(b"\r")
    # Blanks are a value in CSV.
    if data if quoted else data.strip():
        records.append(TextRecord(data, line))


def take_records_apart(block: TextBlock) -> tuple[list[TextRecord], list[TextRecord]]:
    """Return the records of a block of CSV whose quotes are sound, and the lines that begin none."""
    sound: list[TextRecord] = []
    unsound: list[TextRecord] = []
    line = block.first_line
    for begin, end, is_sound in split_unsound(block.data):
        if data := block.data[begin:end].removesuffix(b"\n").removesuffix(b"\r"):
            (sound if is_sound else unsound).append(TextRecord(data, line))
        line += block.data.count(b"\n", begin, end)
    return sound, unsound
