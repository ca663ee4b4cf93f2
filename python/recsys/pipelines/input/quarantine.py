"""Where bad rows go, how many are tolerated, and the error past that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import msgspec

from recsys.contracts.errors import UsageError
from recsys.pipelines.input.errors import TooManyBadRowsError


class BadRow(msgspec.Struct, frozen=True):
    """A row that was put aside: ``line`` counts from 1 (rows, in Parquet), ``raw`` is the row as it stood."""

    file: str
    line: int
    reason: str
    raw: str


@dataclass(frozen=True)
class BadRowLimit:
    """How many bad rows a run survives: a share of all rows (0..1), or a count."""

    share: float | None = 0.001
    count: int | None = None

    @staticmethod
    def parse(text: str) -> BadRowLimit:
        """Return the limit that ``0.1%`` or ``100`` stands for, or raise :class:`UsageError`."""
        try:
            if text.endswith("%"):
                share = float(text[:-1]) / 100
                if 0 <= share <= 1:
                    return BadRowLimit(share=share)
            elif (count := int(text)) >= 0:
                return BadRowLimit(share=None, count=count)
        except ValueError:
            pass
        raise UsageError(f"--max-bad-rows {text}: give a percentage such as 0.1% or a count such as 100")

    def allows(self, bad: int, rows: int) -> bool:
        """Tell whether ``bad`` of ``rows`` rows are within the limit."""
        if self.count is not None:
            return bad <= self.count
        return bad <= (self.share or 0.0) * rows

    def __str__(self) -> str:
        return f"{self.count:,} rows" if self.count is not None else f"{(self.share or 0.0) * 100:g} %"


class Quarantine:
    """Counts rows and writes the bad ones to a JSON Lines file, which exists only when there are any.

    ``path`` of ``None`` counts without writing. A quarantine file of an earlier run is removed at the start.
    """

    def __init__(self, path: Path | None, limit: BadRowLimit) -> None:
        self._path = path
        self._limit = limit
        self._file: BinaryIO | None = None
        self._encoder = msgspec.json.Encoder()
        self._first: BadRow | None = None
        self.rows = 0
        self.bad = 0
        if path is not None:
            path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def count(self, rows: int, bad: Sequence[BadRow]) -> None:
        """Count ``rows`` rows read, the bad ones included, and write the bad ones."""
        self.rows += rows
        self.bad += len(bad)
        if not bad:
            return
        self._first = self._first or bad[0]
        if self._path is None:
            return
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("wb")
        self._file.write(self._encoder.encode_lines(bad))

    def check(self) -> None:
        """Raise :class:`TooManyBadRowsError` when there are too many bad rows; call it after the last row."""
        if self._first is None or self._limit.allows(self.bad, self.rows):
            return
        first = self._first
        where = f"; all of them are in {self._path}" if self._path is not None else ""
        raise TooManyBadRowsError(
            f"{self.bad:,} of {self.rows:,} rows are bad, over the limit of {self._limit}; "
            f"the first is {first.file} line {first.line}: {first.reason}{where}"
        )
