"""The scratch copy that a drill breaks: a tenant with a small catalog, popularity and co-visitation."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from recsys._native import Catalog, SignalPacker, build_catalog
from recsys.artifacts.publish import publish_release, utc_now
from recsys.artifacts.registry import Registry, open_registry
from recsys.contracts.manifest import Manifest
from recsys.control.plane import ControlPlane

TENANT = "drill"
SURFACE = "home"
N_ITEMS = 200
ITEMS = tuple(f"item-{number:03}" for number in range(N_ITEMS))
_CREATED_MS = 1_700_000_000_000


class Scratch:
    """A data folder of its own; nothing outside it is touched."""

    def __init__(self, folder: Path) -> None:
        """Create the tenant and one release."""
        self.folder = folder
        self.data_dir = folder / "data"
        plane = ControlPlane.open(self.data_dir / "control")
        plane.create_tenant(TENANT, actor="drill")
        plane.close()

    @property
    def registry_dir(self) -> Path:
        """The folder of the registry."""
        return self.data_dir / "registry"

    @property
    def registry(self) -> Registry:
        """The registry."""
        return open_registry(self.registry_dir)

    def publish(
        self, *, generation: int = 1, is_available: bool = True, at: datetime | None = None
    ) -> Manifest:
        """Publish a release whose popularity starts with item ``generation``, at ``at`` as it says."""
        return publish_into(
            self.registry, self.artifacts(generation=generation, is_available=is_available), at=at
        )

    def artifacts(self, *, generation: int, is_available: bool = True) -> Mapping[str, Path]:
        """Build the artifacts of a release; different generations rank differently."""
        folder = self.folder / f"artifacts-{generation}-{is_available}"
        folder.mkdir(exist_ok=True)
        paths = {kind: folder / f"{kind}.rsa" for kind in ("catalog", "popularity", "cooc")}
        build_catalog(
            str(paths["catalog"]),
            ITEMS,
            tags=[["all", "even" if number % 2 == 0 else "odd"] for number in range(N_ITEMS)],
            brands=[f"brand-{number % 7}" for number in range(N_ITEMS)],
            categories=[f"category-{number % 5}" for number in range(N_ITEMS)],
            created_at_ms=[_CREATED_MS + number for number in range(N_ITEMS)],
            available=[is_available] * N_ITEMS,
        )
        catalog = Catalog.open(str(paths["catalog"]))
        popularity = SignalPacker(catalog, kind="popularity", key_type="segment")
        popularity.push("default", _from(generation), [float(N_ITEMS - place) for place in range(N_ITEMS)])
        popularity.finish(str(paths["popularity"]))
        cooc = SignalPacker(catalog, kind="cooc", key_type="item")
        for number, item in enumerate(ITEMS):
            others = [ITEMS[(number + step) % N_ITEMS] for step in range(1, 21)]
            cooc.push(item, others, [float(20 - step) for step in range(20)])
        cooc.finish(str(paths["cooc"]))
        return paths


def publish_into(registry: Registry, files: Mapping[str, Path], *, at: datetime | None = None) -> Manifest:
    """Publish files as a release of the drill's surface."""
    return publish_release(
        registry, TENANT, SURFACE, files, backfill=True, clock=utc_now if at is None else lambda: at
    )


def _from(generation: int) -> list[str]:
    return list(ITEMS[generation:] + ITEMS[:generation])


def unix_epoch() -> datetime:
    """Return the oldest time that a release may claim."""
    return datetime.fromtimestamp(0, UTC)
