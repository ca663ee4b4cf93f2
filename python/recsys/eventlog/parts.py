"""An append-only log in parts: one writer per process, one ``write(2)`` a line, rotated by size and time.

Part names sort by time of opening, ``20260131T120000.000Z-00004711-000001.jsonl`` (UTC, process, number).
A part only grows, and only its last line can be torn: after a short write the next line opens a new part.
Its writer holds a shared lock on it, which the system takes back when the process ends, however it ends.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from recsys._native import AppendFile

PART_SUFFIX = ".jsonl"
MAX_PART_BYTES = 64 * 1024 * 1024
MAX_PART_AGE_S = 3600.0
_CHECK_INTERVAL_S = 1.0
_NEW_PART_S = 5.0
_AGE_MARGIN_S = 60.0
_ROTATE_FILE = ".rotate"
ROTATED_AFTER_S = 2 * _CHECK_INTERVAL_S
"""So long after :func:`ask_to_rotate`, no line goes to a part that was there before, unless its writer
stood still between looking and writing."""


class PartWriter:
    """Appends lines to the parts of one folder. Not shared between processes or threads."""

    def __init__(
        self,
        folder: Path,
        *,
        max_bytes: int = MAX_PART_BYTES,
        max_age_s: float = MAX_PART_AGE_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """No file is opened before the first line. ``clock`` gives Unix seconds."""
        self._folder = folder
        self._max_bytes = max_bytes
        self._max_age_s = max_age_s
        self._clock = clock
        self._file: AppendFile | None = None
        self._size = 0
        self._opened_at = 0.0
        self._checked_at = 0.0
        self._number = 0
        self._rotation = 0

    @property
    def folder(self) -> Path:
        """Where the parts are."""
        return self._folder

    def sync(self) -> None:
        """Wait until what was written is on the disk, so that it outlives the host; raises ``OSError``."""
        if self._file is not None:
            os.fdatasync(self._file.fileno())

    def append(self, line: bytes) -> None:
        """Write ``line``, newline and all, with one ``write(2)``; raises ``OSError`` if it is not whole."""
        size, now, file = len(line), self._clock(), self._file
        if file is None or self._is_spent(file, now, size):
            self.close()
            self._file = file = self._open(now)
        written = file.write(line)
        self._size += written
        if written != size:
            self.close()
            raise OSError(errno.ENOSPC, f"wrote {written} of {size} bytes", str(self._folder))

    def close(self) -> None:
        """Close the current part; the next line opens a new one."""
        self._file = None

    def _is_spent(self, file: AppendFile, now: float, size: int) -> bool:
        """Whether a part is at its end, or has no room for ``size`` more bytes."""
        if self._size and self._size + size > self._max_bytes:
            return True
        if 0 <= now - self._checked_at < _CHECK_INTERVAL_S:
            return False
        self._checked_at = now
        # A clock that was set back ends the part too, so that names keep telling the order of what follows.
        is_old = not 0 <= now - self._opened_at < self._max_age_s
        is_asked = _rotation_of(self._folder) != self._rotation
        return is_old or is_asked or os.fstat(file.fileno()).st_nlink == 0

    def _open(self, now: float) -> AppendFile:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._rotation = _rotation_of(self._folder)
        stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%S.%f")[:-3]
        file = None
        while file is None:
            name = f"{stamp}Z-{os.getpid():08d}-{self._number:06d}{PART_SUFFIX}"
            self._number += 1
            # Another writer of this process may have opened a part of the folder within the same millisecond.
            with suppress(FileExistsError):
                file = AppendFile(self._folder / name, 0o640)
        fcntl.flock(file.fileno(), fcntl.LOCK_SH)
        self._size = 0
        self._opened_at = self._checked_at = now
        return file


def ask_to_rotate(folder: Path) -> None:
    """Make every writer of a folder go on to a new part before its next line, at most a second from now."""
    path = folder / _ROTATE_FILE
    path.touch()
    os.utime(path, ns=(time.time_ns(), time.time_ns()))


def _rotation_of(folder: Path) -> int:
    try:
        return (folder / _ROTATE_FILE).stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def opened_at(part: Path) -> float | None:
    """Return when a part was opened, in Unix seconds, as its name tells; ``None`` for another name."""
    try:
        stamp = part.name.split("Z-")[0]
        return datetime.strptime(stamp, "%Y%m%dT%H%M%S.%f").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


def is_closed(part: Path, now: float) -> bool:
    """Whether nobody will write to ``part`` any more; ``now`` is in Unix seconds.

    Its writer is gone or went on to another part, or it is so old that the writer will not use it again.
    """
    opened = opened_at(part)
    if opened is None or now - opened < _NEW_PART_S:
        return False
    if now - opened > MAX_PART_AGE_S + _AGE_MARGIN_S:
        return True
    with part.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True
