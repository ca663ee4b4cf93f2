"""Reads event records back from log parts, oldest part first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct

from recsys.contracts.errors import RecsysError
from recsys.eventlog.layout import live_parts

RecordT = TypeVar("RecordT", bound=Struct)


class LogError(RecsysError):
    """A log part with a line that is not a record; the message names file and line."""


class TornLine(Struct, frozen=True):
    """The last line of a part without its newline: its writer was stopped, or the disk was full."""

    path: Path
    line: int
    n_bytes: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: torn last line ({self.n_bytes} bytes) skipped"


def list_parts(folder: Path) -> list[Path]:
    """Return the live parts of a log, those of single tenants too; raises :class:`LogError` without it."""
    if not folder.is_dir():
        raise LogError(f"{folder}: no such folder")
    return [path for _, path in live_parts(folder)]


def read_part(path: Path, record: type[RecordT], on_torn: Callable[[TornLine], None]) -> Iterator[RecordT]:
    """Yield the records of one part in order.

    A torn last line is told to ``on_torn`` and skipped; any other line that is no record raises
    :class:`LogError`.
    """
    decoder = msgspec.json.Decoder(record)
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.endswith(b"\n"):
                on_torn(TornLine(path, number, len(line)))
                return
            try:
                yield decoder.decode(line)
            except msgspec.MsgspecError as error:
                raise LogError(f"{path}:{number}: {error}") from error


def read_log(folder: Path, record: type[RecordT], on_torn: Callable[[TornLine], None]) -> Iterator[RecordT]:
    """Yield the records of every part of a folder; see :func:`read_part`."""
    for path in list_parts(folder):
        yield from read_part(path, record, on_torn)
