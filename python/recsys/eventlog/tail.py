"""Follows a log as it is written: each whole line once, in the order of parts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from recsys.eventlog.layout import live_parts
from recsys.eventlog.parts import MAX_PART_AGE_S, opened_at


class LogTail:
    """Reads what is new in the live parts of a log; what was compacted before it was read is not seen."""

    def __init__(self, log: Path, since: datetime | None = None) -> None:
        """``since`` leaves out parts that can hold nothing younger; lines in the others are all read."""
        self._log = log
        self._oldest_s = None if since is None else since.timestamp() - MAX_PART_AGE_S
        self._offsets: dict[Path, int] = {}

    def read(self) -> Iterator[bytes]:
        """Yield the lines that were finished since the last time."""
        return (line for _, line in self.read_owned())

    def read_owned(self) -> Iterator[tuple[str | None, bytes]]:
        """As :meth:`read`, each line with the tenant of its folder, if its part lies in one."""
        for tenant, part in live_parts(self._log):
            offset = self._offsets.get(part, 0)
            if offset == 0 and self._oldest_s is not None and (opened_at(part) or 0.0) < self._oldest_s:
                continue
            try:
                with part.open("rb") as file:
                    file.seek(offset)
                    for line in file:
                        if not line.endswith(b"\n"):
                            break
                        offset += len(line)
                        yield tenant, line
            except FileNotFoundError:
                continue
            self._offsets[part] = offset
