"""Preparing the demo: a data folder with the retail data, and a tenant with a release made from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

import recsys
from recsys._native import FORMAT_VERSION, Catalog
from recsys.artifacts.publish import publish_release
from recsys.artifacts.registry import Moving, open_registry
from recsys.control.plane import ControlPlane
from recsys.control.release_moves import entering
from recsys.demo.retail import (
    ORIGIN,
    SURFACE,
    TENANT,
    RetailData,
    age_segments_of,
    catalog_of,
    interactions_of,
    load_retail_data,
)
from recsys.pipelines.build.catalog import build_catalog
from recsys.pipelines.build.cooc import CoocOptions, build_cooc
from recsys.pipelines.build.popularity import PopularityOptions, build_popularity
from recsys.pipelines.build.request import BeginStage, BuildInput, BuildReport, parse_duration, unseen
from recsys.pipelines.input.files import find_input_files
from recsys.pipelines.input.mapping import ColumnMapping

RECIPE = 2
"""Counts the changes of what this module makes; a folder made by another recipe is stale."""

POPULARITY = PopularityOptions(half_life_ms=parse_duration("28d"))
ACTOR = "demo"
COOC = CoocOptions(normalization="cosine", min_support=5, top_n=100)


@dataclass(frozen=True)
class DemoFiles:
    """Where things are below a data folder."""

    data_dir: Path

    @property
    def interactions(self) -> Path:
        """Interaction rows, version 1."""
        return self.data_dir / "retail" / "interactions.parquet"

    @property
    def interactions_by_age(self) -> Path:
        """The same rows with a ``segment`` column."""
        return self.data_dir / "retail" / "interactions_by_age.parquet"

    @property
    def items(self) -> Path:
        """Catalog rows."""
        return self.data_dir / "retail" / "items.parquet"

    @property
    def stamp(self) -> Path:
        """What the folder was made by, and what it holds."""
        return self.data_dir / "retail" / "prepared.json"

    @property
    def control(self) -> Path:
        """The control store."""
        return self.data_dir / "control"

    @property
    def registry(self) -> Path:
        """The registry of releases."""
        return self.data_dir / "registry"

    def artifact(self, kind: str) -> Path:
        """The artifact of a kind."""
        return self.data_dir / "artifacts" / TENANT / SURFACE / f"{kind}.rsa"


class Prepared(msgspec.Struct, frozen=True):
    """What a data folder holds, and what made it."""

    origin: str
    made_by: str
    artifacts: list[BuildReport]


def prepare_demo(data_dir: Path, *, force: bool = False, begin: BeginStage = unseen) -> tuple[Prepared, bool]:
    """Make ``data_dir`` ready for ``recsys serve``; return what it holds and whether that was made now.

    The same data gives the same artifacts, byte for byte; the tenant's salt alone is random. Raises
    :class:`~recsys.demo.retail.RetailDataError` when the data is not installed.
    """
    where = DemoFiles(data_dir)
    if not force and (prepared := _current(where)) is not None:
        return prepared, False
    where.stamp.unlink(missing_ok=True)
    advance = begin("reading the retail data", 3)
    data = load_retail_data()
    advance(1)
    write_retail_files(data, where)
    advance(2)
    artifacts = publish_retail_release(where, begin)
    prepared = Prepared(ORIGIN, _maker(), artifacts)
    where.stamp.write_bytes(msgspec.json.format(msgspec.json.encode(prepared)) + b"\n")
    return prepared, True


def write_retail_files(data: RetailData, where: DemoFiles) -> None:
    """Write interactions, also by age group, and items; ``data.weeks`` gives a training part."""
    where.items.parent.mkdir(parents=True, exist_ok=True)
    interactions = interactions_of(data)
    pq.write_table(interactions, where.interactions)
    by_age = interactions.append_column(pa.field("segment", pa.string()), age_segments_of(data))
    pq.write_table(by_age, where.interactions_by_age)
    pq.write_table(catalog_of(data), where.items)


def build_retail_artifacts(where: DemoFiles, begin: BeginStage = unseen) -> list[BuildReport]:
    """Build catalog, popularity (over all, and by the household's age group) and co-visitation."""

    def given(path: Path, mapping: ColumnMapping | None = None) -> BuildInput:
        return BuildInput(find_input_files([path]), mapping, begin=begin)

    reports = [build_catalog(given(where.items), where.artifact("catalog"))]
    catalog = Catalog.open(str(where.artifact("catalog")))
    by_age = given(where.interactions_by_age, ColumnMapping())
    reports.append(build_popularity(catalog, by_age, where.artifact("popularity"), POPULARITY))
    reports.append(build_cooc(catalog, given(where.interactions), where.artifact("cooc"), COOC))
    return reports


def publish_retail_release(where: DemoFiles, begin: BeginStage = unseen) -> list[BuildReport]:
    """Build the artifacts of the retail files, create the tenant if need be, and publish a release."""
    artifacts = build_retail_artifacts(where, begin)
    plane = ControlPlane.open(where.control)
    try:
        if all(tenant.tenant_id != TENANT for tenant in plane.tenants()):
            plane.create_tenant(TENANT, actor=ACTOR)
        _publish(where, artifacts, entering(plane, TENANT, SURFACE, actor=ACTOR, action="release.publish"))
    finally:
        plane.close()
    return artifacts


def _maker() -> str:
    return f"recsys {recsys.__version__}, format {FORMAT_VERSION}, recipe {RECIPE}"


def _current(where: DemoFiles) -> Prepared | None:
    try:
        prepared = msgspec.json.decode(where.stamp.read_bytes(), type=Prepared)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
    needed = [where.control / "data.mdb", *(where.artifact(report.kind) for report in prepared.artifacts)]
    is_published = open_registry(where.registry).current(TENANT, SURFACE) is not None
    is_current = prepared.made_by == _maker() and all(path.is_file() for path in needed) and is_published
    return prepared if is_current else None


def _publish(where: DemoFiles, artifacts: list[BuildReport], moving: Moving) -> None:
    files = {report.kind: where.artifact(report.kind) for report in artifacts}
    # The data never changes, so another recipe replaces a release of the same time.
    publish_release(open_registry(where.registry), TENANT, SURFACE, files, backfill=True, moving=moving)
