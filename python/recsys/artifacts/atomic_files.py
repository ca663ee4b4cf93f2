"""Files that appear whole or not at all: written under a temporary name, synced, and renamed."""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

TEMPORARY = ".tmp-"
"""What the names of unfinished files start with; readers pass over them, and gc removes old ones."""


def write_atomically(path: Path, pieces: Iterable[bytes]) -> None:
    """Write ``pieces`` to ``path``, over what is there; once this returns they survive a power cut."""
    make_folder(path.parent)
    temporary = path.with_name(f"{TEMPORARY}{os.getpid()}-{secrets.token_hex(4)}")
    try:
        with temporary.open("xb") as file:
            for piece in pieces:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise _named(error, path) from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


@contextmanager
def named_errors(path: Path) -> Iterator[None]:
    """Name ``path`` in an ``OSError`` of the block that names no file, such as a disk that is full."""
    try:
        yield
    except OSError as error:
        raise _named(error, path) from error


def _named(error: OSError, path: Path) -> OSError:
    if error.filename is not None or error.errno is None:
        return error
    return OSError(error.errno, os.strerror(error.errno), str(path))


def make_folder(folder: Path) -> None:
    """Create a folder and those above it, so that they survive a power cut."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_pieces(path: Path, size: int = 1 << 20) -> Iterator[bytes]:
    """Yield the bytes of a file, ``size`` at a time."""
    with path.open("rb") as file:
        while piece := file.read(size):
            yield piece


@contextmanager
def exclusive_lock(path: Path) -> Iterator[None]:
    """Hold a lock file for the length of a ``with`` block; threads and processes of this host wait for it.

    The lock ends with its holder, so a killed process leaves none behind.
    """
    make_folder(path.parent)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
