"""The lines of a JSON Lines log, plain or compressed, one at a time and each of bounded length."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from io import IOBase
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow as pa

from recsys.contracts.errors import EvaluationError

MAX_LINE_BYTES = 64 << 20
"""A longer line is taken for a damaged file: no record comes near it, and lines are held in memory."""


class DamagedFileError(EvaluationError):
    """A log that cannot be read to its end; ``kind`` names the defect for a report."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def read_lines(file: str) -> Iterator[bytes]:
    """Yield the lines of ``file`` with their ends; only the last may lack one.

    Raises DamagedFileError with kind ``truncated_file`` (a compressed stream without its end),
    ``corrupt_file`` or ``line_too_long``, and EvaluationError when the file cannot be opened or is not JSON
    Lines by its name.
    """
    if not file.endswith((".jsonl", ".jsonl.gz", ".jsonl.zst")):
        raise EvaluationError(f"{file} is not a JSON Lines file")
    try:
        raw = Path(file).open("rb")  # noqa: SIM115 - closed below, apart from the errors of reading
    except OSError as error:
        raise EvaluationError(f"{file} cannot be read: {error.strerror}") from error
    with raw:
        try:
            yield from _bounded(_unpacked(file, raw), file)
        except EOFError as error:
            raise DamagedFileError("truncated_file", str(error)) from error
        except (OSError, zlib.error, pa.ArrowException) as error:
            # Arrow tells a stream without its end from a damaged one in words only.
            kind = "truncated_file" if "truncated" in str(error).lower() else "corrupt_file"
            raise DamagedFileError(kind, str(error)) from error


def _unpacked(file: str, raw: BinaryIO) -> BinaryIO:
    if file.endswith(".gz"):
        return cast("BinaryIO", gzip.GzipFile(fileobj=raw))
    if file.endswith(".zst"):
        return cast(
            "BinaryIO", pa.CompressedInputStream(pa.PythonFile(cast("IOBase", raw), mode="r"), "zstd")
        )
    return raw


def _bounded(stream: BinaryIO, file: str) -> Iterator[bytes]:
    rest = b""
    while chunk := stream.read(1 << 17):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line + b"\n"
        if len(rest) > MAX_LINE_BYTES:
            raise DamagedFileError(
                "line_too_long", f"{file} has a line of more than {MAX_LINE_BYTES:,} bytes"
            )
    if rest:
        yield rest
