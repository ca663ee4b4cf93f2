"""What a registry needs of a store: whole objects under keys, some replaced by compare-and-swap.

Keys are relative, divided by ``/``. Every write is atomic: a reader sees an object whole or not at all, and a
writer that is killed leaves nothing under the key.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, Protocol

from recsys.artifacts.errors import ManifestError


class Blob(NamedTuple):
    """A small object, and the entity tag of this content."""

    data: bytes
    etag: str


class BlobStat(NamedTuple):
    """An object without its content; ``etag`` differs when the content may differ."""

    key: str
    size: int
    modified: datetime
    etag: str


class BlobStore(Protocol):
    """A folder or a bucket. Methods raise ``RegistryUnreachableError`` when the store does not answer."""

    url: str
    is_local: bool

    def get(self, key: str) -> Blob | None:
        """Return a small object, or ``None`` when there is none."""

    def stat(self, key: str) -> BlobStat | None:
        """Return what is known of an object without reading it, or ``None`` when there is none."""

    def read(self, key: str) -> Iterator[bytes]:
        """Yield an object in pieces; raises ``ReleaseNotFoundError`` when there is none."""

    def create(self, key: str, data: bytes) -> bool:
        """Write an object unless there is one; tell whether this call wrote it."""

    def replace(self, key: str, data: bytes, expected: str | None) -> str:
        """Write an object over the one with tag ``expected`` (``None``: over none); return the new tag.

        Raises ``PublishConflictError`` when another object is there.
        """

    def upload(self, key: str, path: Path) -> None:
        """Write an object from a file, over any that is there."""

    def list(self, prefix: str) -> Iterator[BlobStat]:
        """Yield the objects whose keys start with the folder ``prefix``, in order of key."""

    def delete(self, key: str) -> None:
        """Remove an object; there may be none."""


def check_key(key: str) -> str:
    """Return ``key``; raises :class:`ManifestError` when it could lead out of the store."""
    parts = key.split("/")
    if any(part in ("", ".", "..") for part in parts) or any(
        character == "\\" or ord(character) < 32 for character in key
    ):
        raise ManifestError(f"{key!r} is not a path below the root of the registry")
    return key
