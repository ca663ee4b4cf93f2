"""A registry in an object store (S3 and what speaks it, Google, Azure): compare-and-swap by conditional put.

Credentials, region and endpoint come from the environment, as ``obstore`` reads it (``AWS_ACCESS_KEY_ID``,
``AWS_ENDPOINT``, …). Needs the extra ``object-store``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from recsys.artifacts.blob_store import Blob, BlobStat, check_key
from recsys.artifacts.errors import (
    PublishConflictError,
    RegistryError,
    RegistryUnreachableError,
    ReleaseNotFoundError,
)
from recsys.contracts.store_errors import explain_store_error

if TYPE_CHECKING:
    from obstore import ObjectMeta, UpdateVersion
    from obstore.store import ObjectStore

SCHEMES = ("s3", "s3a", "gs", "az", "azure", "adl", "abfs", "abfss")
"""What a URI may start with. Plain web addresses may not: a manifest must not make a host fetch any page."""

_TIMEOUT = timedelta(seconds=30)
_CONNECT_TIMEOUT = timedelta(seconds=5)
_RETRY_FOR = timedelta(seconds=10)
_CHUNK_BYTES = 8 << 20


class BucketStore:
    """A :class:`~recsys.artifacts.blob_store.BlobStore` over a bucket, below a prefix."""

    is_local = False

    def __init__(self, url: str) -> None:
        """Take the bucket and prefix of ``url``; nothing is asked of the store yet."""
        try:
            import obstore  # noqa: PLC0415 - an extra: only object stores need it
            from obstore.exceptions import BaseError  # noqa: PLC0415
            from obstore.store import from_url  # noqa: PLC0415
        except ModuleNotFoundError as error:
            raise RegistryError(
                f"{url}: object stores need the extra: pip install 'recsys[object-store]'"
            ) from error
        if not urlsplit(url).netloc:
            raise RegistryError(f"{url}: names no bucket: a registry is s3://bucket or s3://bucket/prefix")
        self.url = url.rstrip("/")
        self._obstore = obstore
        self._errors: type[Exception] = BaseError
        try:
            self._store: ObjectStore = from_url(
                self.url,
                client_options={"timeout": _TIMEOUT, "connect_timeout": _CONNECT_TIMEOUT, "allow_http": True},
                retry_config={"max_retries": 3, "retry_timeout": _RETRY_FOR},
            )
        except (BaseError, ValueError, TypeError) as error:
            raise RegistryError(f"{url}: {explain_store_error(error)}") from error

    def get(self, key: str) -> Blob | None:
        """Return a small object."""
        with self._named(key):
            try:
                found = self._obstore.get(self._store, check_key(key))
                return Blob(bytes(found.bytes()), _tag(found.meta))
            except FileNotFoundError as error:
                self._refuse_missing_bucket(error)
                return None

    def stat(self, key: str) -> BlobStat | None:
        """Return what the store knows of an object."""
        with self._named(key):
            try:
                return self._stat_of(self._obstore.head(self._store, check_key(key)), key)
            except FileNotFoundError as error:
                self._refuse_missing_bucket(error)
                return None

    def read(self, key: str) -> Iterator[bytes]:
        """Yield an object in pieces."""
        with self._named(key):
            try:
                found = self._obstore.get(self._store, check_key(key))
            except FileNotFoundError as error:
                raise ReleaseNotFoundError(f"{self.url}/{key}: no such object") from error
            for piece in found.stream(min_chunk_size=_CHUNK_BYTES):
                yield bytes(piece)

    def create(self, key: str, data: bytes) -> bool:
        """Write an object unless there is one."""
        from obstore.exceptions import AlreadyExistsError  # noqa: PLC0415

        with self._named(key):
            try:
                self._obstore.put(self._store, check_key(key), data, mode="create")
            except AlreadyExistsError:
                return False
        return True

    def replace(self, key: str, data: bytes, expected: str | None) -> str:
        """Write an object over the one with tag ``expected``."""
        from obstore.exceptions import AlreadyExistsError, PreconditionError  # noqa: PLC0415

        with self._named(key):
            mode: UpdateVersion | str = "create" if expected is None else _version(expected)
            try:
                put = self._obstore.put(self._store, check_key(key), data, mode=mode)  # type: ignore[arg-type]
                return f"{put['e_tag'] or ''}|{put['version'] or ''}"
            except (AlreadyExistsError, PreconditionError, FileNotFoundError) as error:
                # A put whose answer was lost is sent again, and then finds its own object.
                current = self.get(key)
                if current is not None and current.data == data:
                    return current.etag
                raise PublishConflictError(f"{self.url}/{key}: has changed since it was read") from error

    def upload(self, key: str, path: Path) -> None:
        """Write an object from a file, in parts when it is large."""
        with self._named(key):
            self._obstore.put(self._store, check_key(key), path)

    def list(self, prefix: str) -> Iterator[BlobStat]:
        """Yield the objects below a folder."""
        found: list[BlobStat] = []
        with self._named(prefix):
            for batch in self._obstore.list(self._store, prefix=check_key(prefix)):
                found += [self._stat_of(meta, str(meta["path"])) for meta in batch]
        yield from sorted(found)

    def delete(self, key: str) -> None:
        """Remove an object."""
        with self._named(key):
            try:
                self._obstore.delete(self._store, check_key(key))
            except FileNotFoundError as error:
                self._refuse_missing_bucket(error)

    @contextmanager
    def _named(self, key: str) -> Iterator[None]:
        """Turn what the library raises into our errors, with the object's name and one line of reason."""
        try:
            yield
        except (self._errors, PermissionError, OSError) as error:
            raise RegistryUnreachableError(f"{self.url}/{key}: {explain_store_error(error)}") from error

    def _refuse_missing_bucket(self, error: FileNotFoundError) -> None:
        if "NoSuchBucket" in str(error):
            raise RegistryUnreachableError(f"{self.url}: there is no such bucket") from error

    @staticmethod
    def _stat_of(meta: ObjectMeta, key: str) -> BlobStat:
        return BlobStat(key, meta["size"], meta["last_modified"], _tag(meta))


def _tag(meta: ObjectMeta) -> str:
    """Return one tag for both ways in which stores tell contents apart: by entity tag, or by version."""
    return f"{meta.get('e_tag') or ''}|{meta.get('version') or ''}"


def _version(tag: str) -> UpdateVersion:
    e_tag, _, version = tag.rpartition("|")
    known: UpdateVersion = {}
    if e_tag:
        known["e_tag"] = e_tag
    if version:
        known["version"] = version
    return known
