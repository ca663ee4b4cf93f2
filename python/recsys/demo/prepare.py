"""Preparing the demo: a data folder with the retail data, its artifacts and a tenant file."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from recsys import __version__
from recsys._native import FORMAT_VERSION, Catalog
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

RECIPE = 1
"""Counts the changes of what this module makes; a folder made by another recipe is stale."""

POPULARITY = PopularityOptions(half_life_ms=parse_duration("28d"))
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
    def tenant_file(self) -> Path:
        """The tenant file that the service reads."""
        return self.data_dir / "tenants" / f"{TENANT}.toml"

    @property
    def salt(self) -> Path:
        """The tenant's salt; made once, and kept."""
        return self.data_dir / "tenants" / f"{TENANT}.salt"

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

    The same data gives the same artifacts, byte for byte; the salt alone is random. Raises
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
    artifacts = build_retail_artifacts(where, begin)
    _write_tenant(where)
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


def _maker() -> str:
    return f"recsys {__version__}, format {FORMAT_VERSION}, recipe {RECIPE}"


def _current(where: DemoFiles) -> Prepared | None:
    try:
        prepared = msgspec.json.decode(where.stamp.read_bytes(), type=Prepared)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
    needed = [where.tenant_file, where.salt, *(where.artifact(report.kind) for report in prepared.artifacts)]
    is_current = prepared.made_by == _maker() and all(path.is_file() for path in needed)
    return prepared if is_current else None


def _write_tenant(where: DemoFiles) -> None:
    where.tenant_file.parent.mkdir(parents=True, exist_ok=True)
    if not where.salt.exists():
        descriptor = os.open(where.salt, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32) + "\n")
    lines = [
        f"# The demo tenant. Data: {ORIGIN}.",
        f'tenant = "{TENANT}"',
        f'salt_file = "{where.salt.name}"',
        "",
        f"[surfaces.{SURFACE}.artifacts]",
    ]
    for kind in ("catalog", "popularity", "cooc"):
        relative = os.path.relpath(where.artifact(kind), where.tenant_file.parent)
        lines.append(f'{kind} = "{Path(relative).as_posix()}"')
    where.tenant_file.write_text("\n".join(lines) + "\n", encoding="utf-8")
