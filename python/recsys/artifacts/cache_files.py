"""The files of a cache: bounded in bytes, removed least recently used first, never while somebody uses them.

Who uses a file holds a shared lock on it, in whatever process; the system drops the lock with its holder. So
whoever gets the exclusive lock on a file may remove it, be it an old artifact or what a killed download left.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from recsys.artifacts.atomic_files import TEMPORARY, exclusive_lock, make_folder, sync_folder
from recsys.artifacts.errors import RegistryError

# Written in one piece, from a multiple of its size on, so that a file system which can (ext4 and xfs on
# recent kernels) keeps it in memory as one large page: a rank call reads a file all over, and waits for the
# address of every page.
_BLOCK_BYTES = 2 << 20


class Lease:
    """A file that stays where it is until :meth:`close`."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    def close(self) -> None:
        """Let the file go."""
        os.close(self._descriptor)


class _Candidate(NamedTuple):
    used_ns: int
    size: int
    path: Path


class FilePool:
    """Files by name below a folder. ``protected`` returns names that stay even when nobody uses them."""

    def __init__(self, folder: Path, max_bytes: int, protected: Callable[[], Collection[str]]) -> None:
        self._files = folder / "files"
        self._locks = folder / "locks"
        self._max_bytes = max_bytes
        self._protected = protected
        make_folder(self._files)

    def lease(self, name: str) -> Lease | None:
        """Return a file for use, ``None`` when there is none."""
        path = self._files / name
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            return None
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        if os.fstat(descriptor).st_nlink == 0:  # removed between the two calls
            os.close(descriptor)
            return None
        os.utime(path)
        return Lease(path, descriptor)

    @contextmanager
    def loading(self, name: str) -> Iterator[None]:
        """Hold the right to load what ``name`` stands for; everybody else who wants to waits."""
        with exclusive_lock(self._locks / f"{name}.lock"):
            yield

    @contextmanager
    def new_file(self, size: int) -> Iterator[NewFile]:
        """Make room for ``size`` bytes and yield a file to write them to; without ``keep`` it is removed.

        Raises :class:`RegistryError` when the files in use leave no room.
        """
        make_folder(self._files)
        path = self._files / f"{TEMPORARY}{os.getpid()}-{secrets.token_hex(4)}"
        with exclusive_lock(self._locks / "space.lock"):
            self._make_room(size)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            os.truncate(descriptor, size)
        try:
            yield NewFile(path, descriptor, size)
        finally:
            path.unlink(missing_ok=True)
            os.close(descriptor)

    def used_bytes(self) -> int:
        """Return the size of all files, in bytes."""
        return sum(candidate.size for candidate in self._scan())

    def _make_room(self, size: int) -> None:
        candidates = sorted(self._scan())
        used = sum(candidate.size for candidate in candidates)
        protected = self._protected()
        for candidate in candidates:
            is_unfinished = candidate.path.name.startswith(TEMPORARY)
            if used + size <= self._max_bytes and not is_unfinished:
                continue
            if candidate.path.name not in protected and _remove_unless_used(candidate.path):
                used -= candidate.size
        if used + size > self._max_bytes:
            raise RegistryError(
                f"{self._files}: {size:,} bytes do not fit beside the {used:,} bytes in use; "
                f"the cache is bounded to {self._max_bytes:,} bytes"
            )

    def _scan(self) -> Iterator[_Candidate]:
        for path in self._files.iterdir():
            try:
                stat = path.stat()
            except FileNotFoundError:
                continue
            yield _Candidate(stat.st_mtime_ns, stat.st_size, path)


class NewFile:
    """A file that is being written; other processes leave it alone."""

    def __init__(self, path: Path, descriptor: int, size: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self._size = size

    def write(self, pieces: Iterable[bytes], name: str) -> None:
        """Write all pieces; raises :class:`RegistryError` unless they add up to the size asked for."""
        written, found = 0, 0
        waiting = bytearray()
        for piece in pieces:
            found += len(piece)
            if found > self._size:
                break
            waiting += piece
            while len(waiting) >= _BLOCK_BYTES:
                written += _pwrite(self._descriptor, waiting[:_BLOCK_BYTES], written)
                del waiting[:_BLOCK_BYTES]
        _pwrite(self._descriptor, waiting, written)
        if found != self._size:
            more = "more than " if found > self._size else f"{found} bytes, not "
            raise RegistryError(f"{name}: has {more}the {self._size} bytes that it should have")

    def keep(self, name: str) -> None:
        """Give the file its name, durably."""
        os.fsync(self._descriptor)
        if not (
            target := self.path.with_name(name)
        ).exists():  # the same content already: leave it to its users
            self.path.rename(target)
        sync_folder(self.path.parent)


def _pwrite(descriptor: int, data: bytearray, at: int) -> int:
    """Write all of ``data`` at a place of a file; return its length."""
    done = 0
    while done < len(data):
        done += os.pwrite(descriptor, memoryview(data)[done:], at + done)
    return done


def _remove_unless_used(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink(missing_ok=True)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True
