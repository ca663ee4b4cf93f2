"""The catalogs that a tenant's surfaces are served with, for who wants to know what items there are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from msgspec.structs import replace

from recsys._native import Catalog
from recsys.artifacts.cache import ArtifactCache
from recsys.artifacts.registry import Registry
from recsys.contracts.manifest import CATALOG, Manifest


@contextmanager
def borrow_catalogs(
    registry: Registry, open_cache: Callable[[], ArtifactCache], tenant: str
) -> Iterator[dict[str, Catalog]]:
    """Yield the catalog of each surface's current release, for the length of a ``with`` block.

    The cache, whose folder is made where there is none, is opened if there is a release. Nothing else of a
    release is fetched, unless its catalog has to be made of its JSON artifacts. Raises what the registry and
    the cache raise.
    """
    currents = [registry.current(owner, surface) for owner, surface in registry.surfaces() if owner == tenant]
    manifests = [current.manifest for current in currents if current is not None]
    found: dict[str, Catalog] = {}
    with ExitStack() as borrowed:
        if manifests:
            cache = open_cache()
            for manifest in manifests:
                files = borrowed.enter_context(cache.borrow(registry, _catalog_alone(manifest)))
                found[manifest.surface] = Catalog.open(str(files[CATALOG]))
        yield found


def _catalog_alone(manifest: Manifest) -> Manifest:
    if CATALOG not in manifest.current:
        return manifest
    return replace(manifest, current={CATALOG: manifest.current[CATALOG]})
