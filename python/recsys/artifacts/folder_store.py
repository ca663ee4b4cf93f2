"""A registry in a folder: compare-and-swap by a lock and a rename.

The lock is one of this host (``flock``), so publishers of one folder run on one host or on a file system
whose locks hold between hosts. Readers need no lock.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from recsys.artifacts.atomic_files import TEMPORARY, exclusive_lock, read_pieces, write_atomically
from recsys.artifacts.blob_store import Blob, BlobStat, check_key
from recsys.artifacts.errors import (
    ManifestError,
    PublishConflictError,
    RegistryUnreachableError,
    ReleaseNotFoundError,
)

_LOCK = ".lock"


class FolderStore:
    """A :class:`~recsys.artifacts.blob_store.BlobStore` over a folder, which need not exist yet."""

    is_local = True

    def __init__(self, root: Path) -> None:
        self.root = root
        self.url = str(root)

    def get(self, key: str) -> Blob | None:
        """Return a small object; its tag is the SHA-256 of its content."""
        try:
            data = self.path(key).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise self._unreachable(key, error) from error
        return Blob(data, hashlib.sha256(data).hexdigest())

    def stat(self, key: str) -> BlobStat | None:
        """Return what the file system knows of an object; one system call when nothing has changed."""
        try:
            return _stat_of(key, self.path(key).stat())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise self._unreachable(key, error) from error

    def read(self, key: str) -> Iterator[bytes]:
        """Yield an object in pieces."""
        try:
            yield from read_pieces(self.path(key))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise ReleaseNotFoundError(f"{self.root}/{key}: no such file") from error
        except OSError as error:
            raise self._unreachable(key, error) from error

    def create(self, key: str, data: bytes) -> bool:
        """Write an object unless there is one."""
        path = self.path(key)
        with exclusive_lock(path.parent / _LOCK):
            if path.exists():
                return False
            write_atomically(path, [data])
            return True

    def replace(self, key: str, data: bytes, expected: str | None) -> str:
        """Write an object over the one with tag ``expected``."""
        path = self.path(key)
        with exclusive_lock(path.parent / _LOCK):
            current = self.get(key)
            if (None if current is None else current.etag) != expected:
                raise PublishConflictError(f"{path}: has changed since it was read")
            write_atomically(path, [data])
        return hashlib.sha256(data).hexdigest()

    def upload(self, key: str, path: Path) -> None:
        """Write an object from a file."""
        write_atomically(self.path(key), read_pieces(path))

    def list(self, prefix: str) -> Iterator[BlobStat]:
        """Yield the objects below a folder; unfinished and lock files are none."""
        folder = self.path(prefix)
        for path in sorted(folder.rglob("*")):
            if path.name.startswith("."):
                continue
            key = path.relative_to(self.root).as_posix()
            try:
                if path.is_file():
                    yield _stat_of(key, path.stat())
            except FileNotFoundError:  # removed since it was listed
                continue

    def delete(self, key: str) -> None:
        """Remove an object."""
        self.path(key).unlink(missing_ok=True)

    def unfinished_files(self, before: datetime) -> Iterator[Path]:
        """Yield the files that killed writers left, last written before a moment."""
        for path in self.root.rglob(f"{TEMPORARY}*"):
            if path.is_file() and path.stat().st_mtime < before.timestamp():
                yield path

    def path(self, key: str) -> Path:
        """Return the file of a key; raises :class:`ManifestError` when that is not below the root."""
        path = self.root / check_key(key)
        if not path.resolve().is_relative_to(self.root.resolve()):
            raise ManifestError(f"{path}: leads out of {self.root} by a link")
        return path

    def _unreachable(self, key: str, error: OSError) -> RegistryUnreachableError:
        return RegistryUnreachableError(f"{self.root}/{key}: {error.strerror}")


def _stat_of(key: str, stat: os.stat_result) -> BlobStat:
    modified = datetime.fromtimestamp(stat.st_mtime, UTC)
    return BlobStat(key, stat.st_size, modified, f"{stat.st_ino}-{stat.st_mtime_ns}-{stat.st_size}")
