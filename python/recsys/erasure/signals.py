"""Removing a user's key from the signals of all releases of a tenant, so that no rollback brings it back.

A signal is immutable and named by its content, so a release with the key is replaced by a twin without it:
the same catalog, signals and time, in the same place of the history. The pointer moves to the twin of the
current release; then the releases and artifacts with the key are removed.
"""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from msgspec import Struct

from recsys._native import Catalog, Signal, SignalPacker
from recsys.artifacts.cache import ArtifactCache
from recsys.artifacts.inspect import open_lists
from recsys.artifacts.publish import check_files, entry_of
from recsys.artifacts.registry import Registry, artifact_key, manifest_key
from recsys.contracts.manifest import CATALOG, Manifest, give_version, write_manifest

_PAGE = 10_000
_KEPT_METADATA = ("build", "params", "input", "window")


class ErasedSignals(Struct, frozen=True):
    """How many artifacts had the key, and how many releases were replaced."""

    artifacts: int = 0
    releases: int = 0


def erase_from_signals(registry: Registry, tenant: str, pseudonym: str, *, scratch: Path) -> ErasedSignals:
    """Remove a user's key from every user-keyed signal of a tenant, in all releases that are kept.

    Running it again after it was stopped does the rest. Raises what the registry raises; a release that
    somebody publishes meanwhile makes it fail with ``PublishConflictError``, and it can be run again.
    """
    artifacts: set[str] = set()
    releases = 0
    for of_tenant, surface in registry.surfaces():
        if of_tenant == tenant:
            found, replaced = _erase_surface(registry, tenant, surface, pseudonym, scratch)
            artifacts |= found
            releases += replaced
    return ErasedSignals(len(artifacts), releases)


def _erase_surface(
    registry: Registry, tenant: str, surface: str, pseudonym: str, scratch: Path
) -> tuple[set[str], int]:
    twins: dict[str, Manifest] = {}
    replaced: list[Manifest] = []
    clean: dict[str, Path | None] = {}
    scratch.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="erase-", dir=scratch) as folder:
        cache = ArtifactCache(Path(folder) / "cache")
        for manifest in reversed(registry.history(tenant, surface)):
            twin = _twin(registry, manifest, cache, clean, twins, pseudonym, Path(folder))
            if twin is not None:
                twins[manifest.version] = twin
                replaced.append(manifest)
    if not twins:
        return set(), 0
    current = registry.current(tenant, surface)
    if current is not None and current.manifest.version in twins:
        twin = twins[current.manifest.version]
        registry.check_complete(twin)
        registry.point(twin, write_manifest(twin), current.etag)
    pins = registry.pins(tenant, surface)
    dirty = {uri for uri, path in clean.items() if path is not None}
    for manifest in replaced:
        if manifest.version in pins:
            registry.pin(twins[manifest.version])
            registry.unpin(manifest)
        registry.store.delete(manifest_key(manifest))
    for uri in dirty:
        location = registry.locate(uri)
        location.store.delete(location.key)
    return dirty, len(replaced)


def _twin(
    registry: Registry,
    manifest: Manifest,
    cache: ArtifactCache,
    clean: dict[str, Path | None],
    twins: dict[str, Manifest],
    pseudonym: str,
    folder: Path,
) -> Manifest | None:
    """Return the release without the user, ``None`` when it does not know the user and follows none that
    did.
    """
    changed: dict[str, Path] = {}
    if any(kind != CATALOG for kind in manifest.current):
        files = cache.fetch(registry, manifest)
        for kind, uri in manifest.current.items():
            if kind != CATALOG:
                if uri not in clean:
                    clean[uri] = _without_key(
                        files[kind], files[CATALOG], pseudonym, folder / f"{len(clean)}.rsa"
                    )
                if (path := clean[uri]) is not None:
                    changed[kind] = path
    parent = twins.get(manifest.parent or "")
    if not changed and parent is None:
        return None
    current, entries = dict(manifest.current), dict(manifest.artifacts)
    for kind, path in changed.items():
        report = check_files({CATALOG: files[CATALOG], kind: path})[kind]
        key = artifact_key(manifest.tenant, kind, report.sha256)
        registry.store.upload(key, path)
        current[kind] = key
        if kind in entries:
            entries[kind] = entry_of(report)
    twin = give_version(
        msgspec.structs.replace(
            manifest,
            current=current,
            artifacts=entries,
            version="",
            parent=manifest.parent if parent is None else parent.version,
        )
    )
    registry.keep(twin, write_manifest(twin))
    return twin


def _without_key(path: Path, catalog_path: Path, pseudonym: str, out: Path) -> Path | None:
    """Write a signal without one of its keys; return ``None`` when it does not have it."""
    signal = open_lists(path)
    # A session index has neither users nor the ids of sessions.
    if not isinstance(signal, Signal) or signal.key_type != "user":
        return None
    catalog = Catalog.open(str(catalog_path))
    if signal.ranked(catalog, pseudonym, 1) is None:
        return None
    packer = SignalPacker(catalog, kind=signal.kind, key_type="user")
    limit = max([1, *signal.list_lengths()])
    for start in range(0, signal.n_keys, _PAGE):
        for key in signal.keys(start, _PAGE):
            ranked = signal.ranked(catalog, key, limit)
            if key != pseudonym and ranked:
                packer.push(key, [item for item, _ in ranked], [score for _, score in ranked])
    metadata: dict[str, object] = json.loads(signal.metadata)
    kept = {name: metadata[name] for name in _KEPT_METADATA if name in metadata}
    packer.finish(str(out), metadata=json.dumps(kept))
    return out
