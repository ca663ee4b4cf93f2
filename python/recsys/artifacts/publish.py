"""Publishing a release: check the files, upload them by digest, write the manifest, move the pointer."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from recsys._native import verify
from recsys.artifacts.blob_store import BlobStat
from recsys.artifacts.errors import BackwardsError, PublishConflictError, RegistryError
from recsys.artifacts.registry import Current, Moving, Registry, artifact_key, check_name, unrecorded
from recsys.contracts.errors import ArtifactError
from recsys.contracts.manifest import (
    CATALOG,
    ArtifactEntry,
    ArtifactWindow,
    Manifest,
    give_version,
    read_manifest,
    write_manifest,
)

RE_UPLOAD_AFTER = timedelta(hours=12)
"""An artifact that lies there longer is uploaded again when a release takes it up, so that a collection of
garbage that runs meanwhile (which spares what is younger than a day) leaves it alone."""


class _Metadata(msgspec.Struct, frozen=True):
    artifact_type: str
    ids_digest: str
    counts: dict[str, int] = {}
    window: ArtifactWindow | None = None
    params: dict[str, object] = {}
    n_items: int | None = None
    n_keys: int | None = None
    n_entries: int | None = None


class _Report(msgspec.Struct, frozen=True):
    sha256: str
    bytes: int
    metadata: _Metadata


def utc_now() -> datetime:
    """Return the time of this host, in UTC."""
    return datetime.now(UTC)


def publish_release(
    registry: Registry,
    tenant: str,
    surface: str,
    files: Mapping[str, Path],
    *,
    backfill: bool = False,
    expected: str | None = None,
    moving: Moving = unrecorded,
    clock: Callable[[], datetime] = utc_now,
) -> Manifest:
    """Make ``files`` (kind to artifact, the catalog among them) the current release, and return its manifest.

    The files that are current already give the current release, and change nothing. ``expected`` is the
    version that must be current. Raises :class:`ArtifactError` for a file that is not sound, of another
    kind, or of another catalog; :class:`BackwardsError` when a kind would go back in time without
    ``backfill``; :class:`PublishConflictError` when somebody else moves the pointer meanwhile.
    """
    reports = check_files(files)
    current = registry.current(tenant, surface)
    registry.expect(current, expected)
    manifest = _manifest_of(tenant, surface, reports, current, clock())
    if not backfill:
        refuse_going_back(manifest, current)
    for kind, path in files.items():
        _upload(registry, manifest.current[kind], path, reports[kind], clock())
    if current is not None:
        if manifest.current == current.manifest.current:
            return current.manifest
        registry.keep(current.manifest, current.data)
    data = registry.keep(manifest, write_manifest(manifest))
    registry.check_complete(manifest)
    try:
        with moving(manifest.parent, manifest.version):
            registry.point(manifest, data, None if current is None else current.etag)
    except PublishConflictError as error:
        raise _tell_winner(registry, manifest, current) from error
    return read_manifest(data, manifest.version)


def check_files(files: Mapping[str, Path]) -> dict[str, _Report]:
    """Read every file whole and return what each holds; raises :class:`ArtifactError` as publishing does."""
    if CATALOG not in files:
        raise RegistryError("a release needs a catalog beside its signals")
    reports: dict[str, _Report] = {}
    for kind, path in files.items():
        reports[kind] = report = msgspec.json.decode(verify(str(path)), type=_Report)
        if report.metadata.artifact_type != kind:
            raise ArtifactError(f"{path}: a {report.metadata.artifact_type}, where {kind} is expected")
    for kind, report in reports.items():
        if report.metadata.ids_digest != reports[CATALOG].metadata.ids_digest:
            raise ArtifactError(f"{files[kind]}: belongs to another catalog than {files[CATALOG]}")
    return reports


def refuse_going_back(manifest: Manifest, current: Current | None) -> None:
    """Raise :class:`BackwardsError` when an artifact's window ends before that of the one it replaces."""
    for kind, entry in manifest.artifacts.items():
        before = None if current is None else current.manifest.artifacts.get(kind)
        if before is None or before.window is None or entry.window is None:
            continue
        known, end = before.window.end, entry.window.end
        # Rows are of days, so their window ends with one: interactions of that day do not go back.
        if end < known and not (before.params.get("source") == "rows" and end.date() == known.date()):
            raise BackwardsError(
                f"{kind} ends at {end:%Y-%m-%dT%H:%M:%SZ}, the current one at "
                f"{known:%Y-%m-%dT%H:%M:%SZ}; publish it all the same with --backfill"
            )


def _manifest_of(
    tenant: str, surface: str, reports: Mapping[str, _Report], current: Current | None, now: datetime
) -> Manifest:
    artifacts = {kind: entry_of(reports[kind]) for kind in sorted(reports)}
    manifest = Manifest(
        v=1,
        tenant=check_name(tenant, "tenant"),
        surface=check_name(surface, "surface"),
        current={kind: artifact_key(tenant, kind, entry.sha256) for kind, entry in artifacts.items()},
        updated_at=now,
        parent=None if current is None else current.manifest.version,
        artifacts=artifacts,
    )
    return give_version(manifest)


def entry_of(report: _Report) -> ArtifactEntry:
    """Return what a manifest says of a file that :func:`check_files` has read."""
    about = report.metadata
    sizes = {"items": about.n_items, "keys": about.n_keys, "entries": about.n_entries}
    counts = {name: size for name, size in sizes.items() if size is not None} | about.counts
    return ArtifactEntry(report.sha256, report.bytes, counts, about.window, about.params)


def _upload(registry: Registry, key: str, path: Path, report: _Report, now: datetime) -> None:
    if not _is_there(registry, registry.store.stat(key), key, report, now):
        registry.store.upload(key, path)
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != report.sha256:
                registry.store.delete(key)
                raise ArtifactError(f"{path}: has changed while it was being published")


def _is_there(registry: Registry, stat: BlobStat | None, key: str, report: _Report, now: datetime) -> bool:
    """Tell whether there is nothing to upload; a folder's copy is read again, a bucket's is trusted."""
    if stat is None or stat.size != report.bytes or now - stat.modified > RE_UPLOAD_AFTER:
        return False
    if not registry.is_local:
        return True
    digest = hashlib.sha256()
    for piece in registry.store.read(key):
        digest.update(piece)
    return digest.hexdigest() == report.sha256


def _tell_winner(registry: Registry, manifest: Manifest, before: Current | None) -> PublishConflictError:
    now = registry.current(manifest.tenant, manifest.surface)
    was = "none" if before is None else before.manifest.version
    return PublishConflictError(
        f"{manifest.tenant}/{manifest.surface}: the current version was {was} when this release was made, "
        f"and is {'none' if now is None else now.manifest.version} now; look at it, then publish again"
    )
