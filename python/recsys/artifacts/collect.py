"""Collecting garbage: releases that nobody can want any more, and the artifacts that only they name."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import chain

from msgspec import Struct

from recsys.artifacts.folder_store import FolderStore
from recsys.artifacts.publish import RE_UPLOAD_AFTER, utc_now
from recsys.artifacts.registry import ARTIFACTS, MANIFESTS, Registry, manifest_key
from recsys.contracts.manifest import Manifest

GRACE = 2 * RE_UPLOAD_AFTER
"""Younger artifacts and unfinished files stay: they may belong to a release that is being published."""


ReleaseName = tuple[str, str, str]
"""Tenant, surface and version."""


class Collected(Struct, frozen=True):
    """What was removed, or would be: keys of manifests and artifacts, and the bytes of the artifacts."""

    manifests: list[str]
    artifacts: list[str]
    bytes: int
    unfinished_files: int
    dry_run: bool


def collect_garbage(
    registry: Registry,
    *,
    keep: int = 10,
    min_age: timedelta = timedelta(days=14),
    named: Container[ReleaseName] = frozenset(),
    dry_run: bool = False,
    clock: Callable[[], datetime] = utc_now,
) -> Collected:
    """Remove old releases of every (tenant, surface), then the artifacts that no release names.

    The current release, its parent, pinned ones, the ``keep`` newest, those younger than ``min_age`` and
    those that something else has ``named`` stay. Raises ``ManifestError`` for a manifest that is not sound,
    before anything is removed.
    """
    now = clock()
    # Listed before the manifests are read: what a release takes up later is younger, or uploaded again.
    candidates = [stat for stat in registry.store.list(ARTIFACTS) if now - stat.modified > GRACE]
    kept: list[Manifest] = []
    old: list[Manifest] = []
    for (tenant, surface), history in _releases(registry).items():
        wanted = _wanted(registry, tenant, surface, history, keep, now - min_age)
        for manifest in history:
            is_wanted = manifest.version in wanted or (tenant, surface, manifest.version) in named
            (kept if is_wanted else old).append(manifest)
    in_use = set(_keys_of(registry, kept))
    if not dry_run:
        for manifest in old:
            registry.store.delete(manifest_key(manifest))
        # Somebody may have rolled back to one of them meanwhile, and so kept it.
        in_use |= set(_keys_of(registry, chain.from_iterable(_releases(registry).values())))
    garbage = [stat for stat in candidates if stat.key not in in_use]
    if not dry_run:
        for stat in garbage:
            registry.store.delete(stat.key)
    return Collected(
        manifests=[manifest_key(manifest) for manifest in old],
        artifacts=[stat.key for stat in garbage],
        bytes=sum(stat.size for stat in garbage),
        unfinished_files=_sweep(registry, now - GRACE, dry_run=dry_run),
        dry_run=dry_run,
    )


def _releases(registry: Registry) -> dict[tuple[str, str], list[Manifest]]:
    """Return the releases of every pair with a pointer or a manifest, newest first."""
    listed = (stat.key.split("/") for stat in registry.store.list(MANIFESTS))
    pairs = {*registry.surfaces(), *((parts[1], parts[2]) for parts in listed if len(parts) == 4)}
    return {pair: registry.history(*pair) for pair in sorted(pairs)}


def _wanted(
    registry: Registry, tenant: str, surface: str, history: Sequence[Manifest], keep: int, since: datetime
) -> set[str]:
    wanted = {manifest.version for manifest in history[:keep]}
    wanted |= {manifest.version for manifest in history if manifest.updated_at >= since}
    wanted |= registry.pins(tenant, surface)
    current = registry.current(tenant, surface)
    if current is not None:
        wanted.add(current.manifest.version)
        if current.manifest.parent is not None:
            wanted.add(current.manifest.parent)
    return wanted


def _keys_of(registry: Registry, manifests: Iterable[Manifest]) -> Iterator[str]:
    for manifest in manifests:
        for uri in manifest.current.values():
            location = registry.locate(uri)
            if location.store is registry.store:
                yield location.key


def _sweep(registry: Registry, before: datetime, *, dry_run: bool) -> int:
    """Remove what killed writers left in a folder; in a bucket that is the work of its lifecycle rules."""
    if not isinstance(registry.store, FolderStore):
        return 0
    left = list(registry.store.unfinished_files(before))
    if not dry_run:
        for path in left:
            path.unlink(missing_ok=True)
    return len(left)
