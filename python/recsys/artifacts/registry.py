"""The registry of releases: immutable artifacts and manifests, and one pointer for each (tenant, surface).

::

    artifacts/<tenant>/<kind>/<sha256>.rsa           named by content, never changed
    manifests/<tenant>/<surface>/<version>.json      named by content, never changed
    current/<tenant>/<surface>/manifest.json         the pointer: the bytes of one manifest
    pins/<tenant>/<surface>/<version>                gc keeps this version

Only the pointer is ever replaced, by compare-and-swap, and only after all that it names is there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import msgspec

from recsys.artifacts.blob_store import BlobStore
from recsys.artifacts.errors import ManifestError, PublishConflictError, RegistryError, ReleaseNotFoundError
from recsys.artifacts.folder_store import FolderStore
from recsys.artifacts.object_store import SCHEMES, BucketStore
from recsys.artifacts.uris import Location, UriResolver
from recsys.contracts.documents import InvalidDocument
from recsys.contracts.http import Name
from recsys.contracts.manifest import Manifest, read_manifest
from recsys.contracts.patterns import fits_file_name, in_words

POINTERS, MANIFESTS, ARTIFACTS, PINS = "current", "manifests", "artifacts", "pins"
_POINTER_FILE = "manifest.json"
_MIN_PREFIX = 6

Moving = Callable[[str | None, str], AbstractContextManager[None]]
"""Is given the version that a pointer is about to move from, and the one that it moves to; the move is the
block of what it returns."""


def unrecorded(_before: str | None, _after: str, /) -> AbstractContextManager[None]:
    """Move a pointer without further ado: a :data:`Moving` for registries that no control store goes with."""
    return nullcontext()


class Current(NamedTuple):
    """The release that a pointer names; ``etag`` is what a compare-and-swap of the pointer expects.

    ``data`` is the document as it stands, which may have keys that we do not know.
    """

    manifest: Manifest
    etag: str
    data: bytes


class Registry:
    """Releases in a store. Safe to share between threads; holds nothing open."""

    def __init__(self, store: BlobStore, file_roots: Sequence[Path] = ()) -> None:
        self.store = store
        self._uris = UriResolver(store, file_roots)

    @property
    def url(self) -> str:
        """Where the registry is, as messages name it."""
        return self.store.url

    @property
    def is_local(self) -> bool:
        """Whether this is a folder, whose pointers cost next to nothing to watch."""
        return self.store.is_local

    def surfaces(self) -> list[tuple[str, str]]:
        """Return the (tenant, surface) pairs that have a pointer, sorted."""
        found = (stat.key.split("/") for stat in self.store.list(POINTERS))
        return sorted(
            (parts[1], parts[2]) for parts in found if len(parts) == 4 and parts[3] == _POINTER_FILE
        )

    def pointer_tag(self, tenant: str, surface: str) -> str | None:
        """Return a tag that differs once the pointer has moved, ``None`` without one; reads no content."""
        stat = self.store.stat(pointer_key(tenant, surface))
        return None if stat is None else stat.etag

    def current(self, tenant: str, surface: str) -> Current | None:
        """Return the release that is current, or ``None`` without a pointer.

        Raises :class:`ManifestError` when the pointer's content is not a manifest of this (tenant, surface).
        """
        return self._read(pointer_key(tenant, surface), tenant, surface)

    def history(self, tenant: str, surface: str) -> list[Manifest]:
        """Return every release that is kept, newest first, whether the pointer ever named it or not."""
        found: dict[str, Manifest] = {}
        for stat in self.store.list(manifest_folder(tenant, surface)):
            release = self._read(stat.key, tenant, surface)
            if release is not None:
                found[release.manifest.version] = release.manifest
        current = self.current(tenant, surface)
        if current is not None:
            found.setdefault(current.manifest.version, current.manifest)
        return sorted(found.values(), key=lambda one: (one.updated_at, one.version), reverse=True)

    def find(self, tenant: str, surface: str, version: str | None = None) -> Manifest:
        """Return a release by its version or the first six or more characters of it; without one the current.

        Raises :class:`ReleaseNotFoundError` when there is none, or more than one.
        """
        if version is None:
            return self._require_current(tenant, surface).manifest
        return self._find(tenant, surface, version).manifest

    def roll_back(
        self,
        tenant: str,
        surface: str,
        to: str | None = None,
        *,
        expected: str | None = None,
        moving: Moving = unrecorded,
    ) -> Manifest:
        """Point at an earlier release again, and return it: the parent of the current one, or ``to``.

        Builds nothing and waits for nobody. Raises :class:`ReleaseNotFoundError` when the release or one
        of its artifacts is gone, :class:`PublishConflictError` when the pointer moves meanwhile or the
        current version is not ``expected``.
        """
        current = self._require_current(tenant, surface)
        self.expect(current, expected)
        version = to or current.manifest.parent
        if version is None:
            raise ReleaseNotFoundError(
                f"{self.url}: {tenant}/{surface} has no release before {current.manifest.version}"
            )
        target = self._find(tenant, surface, version)
        if target.manifest.version == current.manifest.version:
            return target.manifest
        self.keep(current.manifest, current.data)
        kept = self.keep(target.manifest, target.data)
        self.check_complete(target.manifest)
        with moving(current.manifest.version, target.manifest.version):
            self.point(target.manifest, kept, current.etag)
        return target.manifest

    def expect(self, current: Current | None, version: str | None) -> None:
        """Raise :class:`PublishConflictError` unless ``version`` is ``None`` or that of ``current``."""
        found = None if current is None else current.manifest.version
        if version is not None and version != found:
            raise PublishConflictError(f"{self.url}: the current version is {found or 'none'}, not {version}")

    def keep(self, manifest: Manifest, data: bytes) -> bytes:
        """Write the immutable copy of a manifest, unless it is there; return what is there."""
        key = manifest_key(manifest)
        if not self.store.create(key, data):
            blob = self.store.get(key)
            return data if blob is None else blob.data
        return data

    def point(self, manifest: Manifest, data: bytes, expected: str | None) -> None:
        """Move the pointer from the content with tag ``expected`` to ``data``, which is ``manifest``."""
        self.store.replace(pointer_key(manifest.tenant, manifest.surface), data, expected)

    def check_complete(self, manifest: Manifest) -> None:
        """Raise :class:`ReleaseNotFoundError` unless every artifact is there, with its size."""
        for kind, uri in manifest.current.items():
            location = self.locate(uri)
            stat = location.store.stat(location.key)
            if stat is None:
                raise ReleaseNotFoundError(f"{location}: the {kind} of release {manifest.version} is gone")
            entry = manifest.artifacts.get(kind)
            if entry is not None and stat.size != entry.bytes:
                raise ManifestError(
                    f"{location}: {stat.size} bytes, where release {manifest.version} has {entry.bytes}"
                )

    def locate(self, uri: str) -> Location:
        """Return where a URI leads; raises :class:`ManifestError` for a place that may not be read."""
        return self._uris.locate(uri)

    def pin(self, manifest: Manifest) -> None:
        """Keep a release from gc, whatever its age."""
        self.store.create(pin_key(manifest), b"")

    def unpin(self, manifest: Manifest) -> None:
        """Let gc treat a release as any other."""
        self.store.delete(pin_key(manifest))

    def pins(self, tenant: str, surface: str) -> frozenset[str]:
        """Return the versions that are pinned."""
        return frozenset(
            stat.key.rpartition("/")[2] for stat in self.store.list(f"{PINS}/{tenant}/{surface}")
        )

    def _require_current(self, tenant: str, surface: str) -> Current:
        current = self.current(tenant, surface)
        if current is None:
            raise ReleaseNotFoundError(f"{self.url}: nothing is published for {tenant}/{surface}")
        return current

    def _find(self, tenant: str, surface: str, version: str) -> Current:
        folder = manifest_folder(tenant, surface)
        exact = self._read(f"{folder}/{check_name(version, 'version')}.json", tenant, surface)
        if exact is not None:
            return exact
        current = self.current(tenant, surface)
        matching = {}
        for one in self.history(tenant, surface):
            if one.version.startswith(version) and len(version) >= _MIN_PREFIX:
                release = self._read(f"{folder}/{one.version}.json", tenant, surface) or current
                if release is not None:
                    matching[one.version] = release
        if len(matching) == 1:
            return next(iter(matching.values()))
        how_many = "several releases start" if matching else "no release starts"
        raise ReleaseNotFoundError(f"{self.url}: {how_many} with {version!r} for {tenant}/{surface}")

    def _read(self, key: str, tenant: str, surface: str) -> Current | None:
        blob = self.store.get(key)
        if blob is None:
            return None
        place = f"{self.url}/{key}"
        try:
            manifest = read_manifest(blob.data, place)
        except InvalidDocument as error:
            raise ManifestError(str(error)) from error
        if (manifest.tenant, manifest.surface) != (tenant, surface):
            raise ManifestError(f"{place}: is that of {manifest.tenant}/{manifest.surface}")
        return Current(manifest, blob.etag, blob.data)


def open_registry(url: str | Path, *, file_roots: Sequence[Path] = ()) -> Registry:
    """Return the registry at a folder, ``file://…``, ``s3://bucket/prefix`` or another object store.

    A folder need not exist yet. ``file_roots`` are further folders that ``file://`` URIs of manifests may
    name. Raises :class:`RegistryError` for a URL of another kind.
    """
    text = str(url)
    scheme, separator, _ = text.partition("://")
    if not separator:
        before = text.partition(":")[0]
        if before in (*SCHEMES, "file") and text.startswith(f"{before}:/"):
            raise RegistryError(f"{text}: write {before}:// with two slashes")
        return Registry(FolderStore(Path(text)), file_roots)
    if scheme == "file":
        return Registry(FolderStore(Path(unquote(urlsplit(text).path))), file_roots)
    if scheme in SCHEMES:
        return Registry(BucketStore(text), file_roots)
    raise RegistryError(f"{text}: a registry is a folder, file:// or one of {', '.join(SCHEMES)} with ://")


def check_name(value: str, what: str) -> str:
    """Return ``value``; raises :class:`RegistryError` when it is not one path segment that fits a folder."""
    try:
        name: str = msgspec.convert(value, Name)
    except msgspec.ValidationError as error:
        raise RegistryError(f"{what} {value!r}: {in_words(str(error))}") from error
    if not fits_file_name(name):
        raise RegistryError(f"{what} {value!r}: too long for a folder; take a shorter name, or plain letters")
    return name


def pointer_key(tenant: str, surface: str) -> str:
    """Return the key of the pointer."""
    return f"{POINTERS}/{check_name(tenant, 'tenant')}/{check_name(surface, 'surface')}/{_POINTER_FILE}"


def manifest_folder(tenant: str, surface: str) -> str:
    """Return the folder of the immutable manifests."""
    return f"{MANIFESTS}/{check_name(tenant, 'tenant')}/{check_name(surface, 'surface')}"


def manifest_key(manifest: Manifest) -> str:
    """Return the key of the immutable copy of a manifest."""
    return f"{manifest_folder(manifest.tenant, manifest.surface)}/{manifest.version}.json"


def pin_key(manifest: Manifest) -> str:
    """Return the key that keeps a release from gc."""
    return f"{PINS}/{manifest.tenant}/{manifest.surface}/{manifest.version}"


def artifact_key(tenant: str, kind: str, sha256: str) -> str:
    """Return the key of an artifact by its content."""
    return f"{ARTIFACTS}/{check_name(tenant, 'tenant')}/{kind}/{sha256}.rsa"
