"""The lines of a JSON Lines log, plain or compressed, in blocks of whole lines and of bounded size."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import IOBase
from pathlib import Path
from typing import BinaryIO, TypeVar, cast

import pyarrow as pa

from recsys.contracts.errors import EvaluationError

MAX_LINE_BYTES = 64 << 20
"""A longer line is taken for a damaged file: no record comes near it, and lines are held in memory."""

Block = TypeVar("Block")

BLOCK_BYTES = 8 << 20
"""What is read at a time; a block is as much longer as its last line needs."""


class DamagedFileError(EvaluationError):
    """A log that cannot be read to its end; ``kind`` names the defect for a report."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def read_blocks(path: Path) -> Iterator[bytes]:
    """Yield the lines of the file at ``path`` in blocks; only the last line of all may lack its end.

    Raises DamagedFileError with kind ``truncated_file`` (a compressed stream without its end),
    ``corrupt_file`` or ``line_too_long``, and EvaluationError when the file cannot be opened. What stands
    before the damage is yielded first.
    """
    try:
        raw = path.open("rb")
    except OSError as error:
        raise EvaluationError(f"{path} cannot be read: {error.strerror}") from error
    with raw:
        yield from _whole_lines(_unpacked(path, raw), path)


def read_ahead(blocks: Iterator[Block]) -> Iterator[Block]:
    """Yield ``blocks``, each read and unpacked while the caller works on the one before."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, blocks, None)
        while (block := coming.result()) is not None:
            coming = pool.submit(next, blocks, None)
            yield block


def _unpacked(path: Path, raw: BinaryIO) -> BinaryIO:
    if path.name.endswith(".gz"):
        return cast("BinaryIO", gzip.GzipFile(fileobj=raw))
    if path.name.endswith(".zst"):
        return cast(
            "BinaryIO", pa.CompressedInputStream(pa.PythonFile(cast("IOBase", raw), mode="r"), "zstd")
        )
    return raw


def _whole_lines(stream: BinaryIO, path: Path) -> Iterator[bytes]:
    pending: list[bytes] = []
    n_pending = 0
    damage: DamagedFileError | None = None
    while True:
        try:
            chunk = stream.read(BLOCK_BYTES)
        except EOFError as error:
            damage, chunk = DamagedFileError("truncated_file", str(error)), b""
        except (OSError, zlib.error, pa.ArrowException) as error:
            # Arrow tells a stream without its end from a damaged one in words only.
            kind = "truncated_file" if "truncated" in str(error).lower() else "corrupt_file"
            damage, chunk = DamagedFileError(kind, str(error)), b""
        if not chunk:
            break
        end = chunk.rfind(b"\n") + 1
        if end:
            yield b"".join([*pending, chunk[:end]])
            pending, n_pending = [], 0
        pending.append(chunk[end:])
        n_pending += len(chunk) - end
        if n_pending > MAX_LINE_BYTES:
            raise DamagedFileError(
                "line_too_long", f"{path} has a line of more than {MAX_LINE_BYTES:,} bytes"
            )
    if damage is not None:
        raise damage
    if n_pending:
        yield b"".join(pending)
