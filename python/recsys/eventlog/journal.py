"""The commit of a compaction: files appear, and the parts that they hold go away, once each across a crash.

Files are written under temporary names first. The journal entry, which lists them and the parts, is the
commit: before it, what was written counts for nothing and is removed; from then on the rest can be repeated
until it is done. In between a reader may see a record twice, never not at all.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from msgspec import Struct

from recsys.contracts.errors import RecsysError

FOLDER = ".compaction"
TEMPORARY_SUFFIX = ".tmp"


class Entry(Struct, frozen=True, forbid_unknown_fields=True):
    """One commit: paths relative to the log. ``renames`` maps temporary to final names."""

    renames: dict[str, str]
    sources: list[str]


@contextmanager
def exclusive(log: Path) -> Iterator[None]:
    """Hold the log for compaction, shipping, retention or erasure; raises when another process has it."""
    folder = log / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RecsysError(
                f"{log}: another process is compacting, shipping or clearing this log"
            ) from error
        yield


def commit(log: Path, name: str, entry: Entry) -> None:
    """Commit written temporary files in place of ``entry.sources``."""
    place = log / FOLDER / f"{name}.json"
    write_durably(place, msgspec.json.encode(entry))
    _finish(log, place, entry)


def recover(log: Path) -> None:
    """Finish every commit of an earlier process, and remove what it had not committed."""
    for place in sorted((log / FOLDER).glob("*.json")):
        _finish(log, place, msgspec.json.decode(place.read_bytes(), type=Entry))
    for left_over in log.rglob(f"*{TEMPORARY_SUFFIX}"):
        left_over.unlink()


def write_durably(path: Path, data: bytes, *, mode: int | None = None) -> None:
    """Write a whole file, or none: temporary name, sync, rename, sync of the folder."""
    temporary = path.with_name(f".{path.name}{TEMPORARY_SUFFIX}")
    with temporary.open("wb") as file:
        if mode is not None:
            os.fchmod(file.fileno(), mode)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make names in ``folder`` durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _finish(log: Path, place: Path, entry: Entry) -> None:
    for temporary, final in entry.renames.items():
        if (log / temporary).exists():
            (log / temporary).replace(log / final)
    for folder in {(log / final).parent for final in entry.renames.values()}:
        sync_folder(folder)
    for source in entry.sources:
        (log / source).unlink(missing_ok=True)
    sync_folder(log)
    place.unlink()
    sync_folder(place.parent)
