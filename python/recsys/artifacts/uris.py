"""Where the URIs of a manifest lead: below the registry's root, to allowed files, or to a bucket."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from recsys.artifacts.blob_store import BlobStore, check_key
from recsys.artifacts.errors import ManifestError
from recsys.artifacts.folder_store import FolderStore
from recsys.artifacts.object_store import SCHEMES, BucketStore


class Location(NamedTuple):
    """A key of a store."""

    store: BlobStore
    key: str

    def __str__(self) -> str:
        return f"{self.store.url}/{self.key}"


class UriResolver:
    """Resolves URIs against a registry's store.

    ``file_roots`` are folders beside the registry's own below which ``file://`` URIs may lead.
    """

    def __init__(self, store: BlobStore, file_roots: Sequence[Path] = ()) -> None:
        self._store = store
        self._roots = [FolderStore(root) for root in file_roots]
        if isinstance(store, FolderStore):
            self._roots.insert(0, store)
        self._buckets: dict[str, BucketStore] = {}

    def locate(self, uri: str) -> Location:
        """Return where ``uri`` leads; raises :class:`ManifestError` for a place that may not be read."""
        scheme, separator, _ = uri.partition("://")
        if not separator:
            if uri.startswith("/") and isinstance(self._store, FolderStore):
                return self._file(Path(uri), uri)
            return Location(self._store, check_key(uri))
        if scheme == "file":
            return self._file(Path(unquote(urlsplit(uri).path)), uri)
        if scheme in SCHEMES:
            return self._object(uri, scheme)
        raise ManifestError(
            f"{uri}: a URI is a path below the root of the registry, file:// or {'://, '.join(SCHEMES)}://"
        )

    def _file(self, path: Path, uri: str) -> Location:
        for folder in self._roots:
            root = folder.root.absolute()
            if path.is_relative_to(root):
                location = Location(folder, path.relative_to(root).as_posix())
                folder.path(location.key)
                return location
        allowed = ", ".join(folder.url for folder in self._roots) or "none"
        raise ManifestError(f"{uri}: not below a folder that may be read ({allowed})")

    def _object(self, uri: str, scheme: str) -> Location:
        own = f"{self._store.url}/"
        if uri.startswith(own):
            return Location(self._store, check_key(uri.removeprefix(own)))
        parts = urlsplit(uri)
        key = parts.path.lstrip("/")
        if scheme in ("az", "azure"):  # az://account/container/key
            container, _, key = key.partition("/")
            bucket = f"{scheme}://{parts.netloc}/{container}"
        else:
            bucket = f"{scheme}://{parts.netloc}"
        if bucket not in self._buckets:
            self._buckets[bucket] = BucketStore(bucket)
        return Location(self._buckets[bucket], check_key(key))
