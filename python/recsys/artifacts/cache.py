"""The local cache of artifacts: what a manifest names, as verified files of this host.

Files are named by content, so all surfaces, versions and processes of a host share them. What was fetched
for a (tenant, surface) is remembered, and serves when the registry is down, also after a restart.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import msgspec

from recsys._native import verify
from recsys.artifacts.atomic_files import write_atomically
from recsys.artifacts.cache_convert import JsonConverter
from recsys.artifacts.cache_files import FilePool, Lease
from recsys.artifacts.errors import ReleaseNotFoundError
from recsys.artifacts.json_documents import is_json_artifact
from recsys.artifacts.registry import Registry, check_name
from recsys.artifacts.uris import Location
from recsys.contracts.errors import ArtifactError
from recsys.contracts.manifest import Manifest, Sha256

DEFAULT_MAX_BYTES = 32 << 30
_KEPT_RELEASES = 2
"""The release that serves while the next is fetched, and that next one."""


class _Digest(Protocol):
    def update(self, data: bytes, /) -> None: ...


class FetchedRelease(msgspec.Struct, frozen=True):
    """A release whose artifacts are all in the cache: ``files`` maps kinds to names of files."""

    manifest: Manifest
    files: dict[str, str]


class ArtifactCache:
    """Artifacts below a folder, at most ``max_bytes``. Open it after forking; threads may share it."""

    def __init__(self, folder: Path, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        self._folder = folder
        self._pool = FilePool(folder, max_bytes, self._remembered_files)
        self._converter = JsonConverter(folder, self._pool)
        self._leases: dict[tuple[str, str], list[list[Lease]]] = {}
        self._lock = threading.Lock()

    def fetch(self, registry: Registry, manifest: Manifest) -> dict[str, Path]:
        """Return a local file for each kind of ``manifest``, downloading what is not there.

        JSON artifacts of other implementations come as mapped ones, with a catalog of their items when the
        manifest has none.

        The files stay until the second fetch after this one for the same (tenant, surface). An artifact
        that is there costs no call of the registry. Raises :class:`ArtifactError` for content that is not
        what the manifest says, and what the registry raises; then nothing has changed.
        """
        leases = self._fetch_all(registry, manifest)
        try:
            self._remember(manifest, {kind: lease.path.name for kind, lease in leases.items()})
        except BaseException:
            _close(leases.values())
            raise
        self._hold(manifest, list(leases.values()))
        return {kind: lease.path for kind, lease in leases.items()}

    @contextmanager
    def borrow(self, registry: Registry, manifest: Manifest) -> Iterator[dict[str, Path]]:
        """Yield the files of a release for the length of a ``with`` block, and do not remember it."""
        leases = self._fetch_all(registry, manifest)
        try:
            yield {kind: lease.path for kind, lease in leases.items()}
        finally:
            _close(leases.values())

    def last_fetched(self, tenant: str, surface: str) -> Manifest | None:
        """Return the release that any process fetched last: what to serve while the registry is down."""
        remembered = self._remembered(tenant, surface)
        return None if remembered is None else remembered.manifest

    def surfaces(self) -> list[tuple[str, str]]:
        """Return the (tenant, surface) pairs of which a release was fetched, sorted."""
        return sorted((path.parent.name, path.stem) for path in self._records())

    def forget(self, tenant: str, surface: str) -> None:
        """Let go of what was fetched for a surface that is served no more."""
        self._record(tenant, surface).unlink(missing_ok=True)
        with self._lock:
            held = self._leases.pop((tenant, surface), [])
        _close(lease for leases in held for lease in leases)

    def used_bytes(self) -> int:
        """Return the size of all files, in bytes."""
        return self._pool.used_bytes()

    def _fetch_all(self, registry: Registry, manifest: Manifest) -> dict[str, Lease]:
        remembered = self._remembered(manifest.tenant, manifest.surface)
        if remembered is not None and remembered.manifest.version == manifest.version:
            leases = self._lease_all(remembered.files)
            if len(leases) == len(remembered.files):
                return leases
            _close(leases.values())
        leases = {}
        try:
            for kind, uri in manifest.current.items():
                leases[kind] = self._fetch(registry, manifest, kind, uri)
            return self._converter.convert(manifest, leases)
        except BaseException:
            _close(leases.values())
            raise

    def _fetch(self, registry: Registry, manifest: Manifest, kind: str, uri: str) -> Lease:
        entry = manifest.artifacts.get(kind)
        if entry is None:
            return self._fetch_unnamed(registry, kind, uri)
        name = f"{entry.sha256}.rsa"
        if (lease := self._pool.lease(name)) is not None:
            return lease
        with self._pool.loading(name):
            if (lease := self._pool.lease(name)) is not None:
                return lease
            location = registry.locate(uri)
            with self._pool.new_file(entry.bytes) as file:
                digest = hashlib.sha256()
                file.write(_watched(location.store.read(location.key), digest), str(location))
                if digest.hexdigest() != entry.sha256:
                    raise ArtifactError(
                        f"{location}: the {kind} has sha256 {digest.hexdigest()}, "
                        f"where the manifest says {entry.sha256}"
                    )
                file.keep(name)
        return self._require(name)

    def _fetch_unnamed(self, registry: Registry, kind: str, uri: str) -> Lease:
        """Fetch an artifact of unknown digest, and remember the digest by URI and tag."""
        location = registry.locate(uri)
        stat = location.store.stat(location.key)
        if stat is None:
            raise ReleaseNotFoundError(f"{location}: the {kind} is not there")
        source = hashlib.sha256(f"{location}\n{stat.etag}".encode()).hexdigest()
        with self._pool.loading(source):
            name = self._source_name(source)
            if name is not None and (lease := self._pool.lease(name)) is not None:
                return lease
            with self._pool.new_file(stat.size) as file:
                digest = hashlib.sha256()
                file.write(_watched(location.store.read(location.key), digest), str(location))
                if not is_json_artifact(file.path):
                    _verify(file.path, location)
                name = f"{digest.hexdigest()}.rsa"
                file.keep(name)
            write_atomically(self._folder / "sources" / source, [digest.hexdigest().encode()])
        return self._require(name)

    def _source_name(self, source: str) -> str | None:
        try:
            text = (self._folder / "sources" / source).read_text("ascii")
            return f"{msgspec.convert(text, Sha256)}.rsa"
        except (FileNotFoundError, UnicodeDecodeError, msgspec.ValidationError):
            return None

    def _require(self, name: str) -> Lease:
        lease = self._pool.lease(name)
        if lease is None:
            raise ArtifactError(
                f"{self._folder}: {name} has vanished from the cache; is somebody removing files?"
            )
        return lease

    def _lease_all(self, files: Mapping[str, str]) -> dict[str, Lease]:
        leases = {kind: self._pool.lease(name) for kind, name in files.items()}
        return {kind: lease for kind, lease in leases.items() if lease is not None}

    def _hold(self, manifest: Manifest, leases: list[Lease]) -> None:
        with self._lock:
            held = self._leases.setdefault((manifest.tenant, manifest.surface), [])
            held.append(leases)
            dropped = held[:-_KEPT_RELEASES]
            del held[:-_KEPT_RELEASES]
        _close(lease for leases in dropped for lease in leases)

    def _remember(self, manifest: Manifest, files: dict[str, str]) -> None:
        record = msgspec.json.encode(FetchedRelease(manifest, files))
        path = self._record(manifest.tenant, manifest.surface)
        if not path.exists() or path.read_bytes() != record:
            write_atomically(path, [record])

    def _remembered(self, tenant: str, surface: str) -> FetchedRelease | None:
        return _read_record(self._record(tenant, surface))

    def _remembered_files(self) -> frozenset[str]:
        records = (_read_record(path) for path in self._records())
        return frozenset(name for record in records if record is not None for name in record.files.values())

    def _records(self) -> Iterator[Path]:
        return (self._folder / "releases").glob("*/*.json")

    def _record(self, tenant: str, surface: str) -> Path:
        return (
            self._folder
            / "releases"
            / check_name(tenant, "tenant")
            / f"{check_name(surface, 'surface')}.json"
        )


def _close(leases: Iterable[Lease]) -> None:
    for lease in leases:
        lease.close()


def _watched(pieces: Iterable[bytes], digest: _Digest) -> Iterator[bytes]:
    for piece in pieces:
        digest.update(piece)
        yield piece


def _verify(path: Path, location: Location) -> None:
    try:
        verify(str(path))
    except ArtifactError as error:
        raise ArtifactError(f"{location}: {str(error).removeprefix(str(path)).lstrip(': ')}") from error


def _read_record(path: Path) -> FetchedRelease | None:
    """Return a record; one that is damaged counts as none, for all in it can be fetched again."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=FetchedRelease)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None
