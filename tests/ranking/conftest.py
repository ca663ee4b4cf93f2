"""A small surface on disk, and snapshots of it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from recsys import _native
from recsys.contracts.config import read_config
from recsys.contracts.documents import canonical_json, version_of
from recsys.contracts.rules import read_rules
from recsys.ranking.snapshot import Snapshot

ITEMS = [f"i{number}" for number in range(8)]


def write_surface(folder: Path, items: list[str] = ITEMS) -> dict[str, Path]:
    """Write a catalog, popularity (i0 first; i4 first in ``vip``) and co-visitation of i0."""
    folder.mkdir(parents=True)
    _native.build_catalog(
        str(folder / "catalog.rsa"),
        items,
        tags=[["even" if number % 2 == 0 else "odd"] for number in range(len(items))],
        brands=[f"b{number % 2}" for number in range(len(items))],
        categories=[f"c{number % 3}" for number in range(len(items))],
    )
    catalog = _native.Catalog.open(str(folder / "catalog.rsa"))
    popularity = _native.SignalPacker(catalog, kind="popularity", key_type="segment")
    popularity.push("default", items, [float(len(items) - number) for number in range(len(items))])
    if len(items) > 5:
        popularity.push("vip", items[4:6], [2.0, 1.0])
    popularity.finish(str(folder / "popularity.rsa"))
    cooc = _native.SignalPacker(catalog, kind="cooc", key_type="item")
    cooc.push(items[0], items[1:3], [9.0, 6.0][: len(items) - 1])
    cooc.finish(str(folder / "cooc.rsa"))
    return {kind: folder / f"{kind}.rsa" for kind in ("catalog", "popularity", "cooc")}


@pytest.fixture
def artifacts(tmp_path: Path) -> dict[str, Path]:
    return write_surface(tmp_path / "home")


@pytest.fixture
def make_snapshot(artifacts: dict[str, Path]) -> Callable[..., Snapshot]:
    def make(
        rules: list[dict[str, object]] | None = None, config: dict[str, object] | None = None
    ) -> Snapshot:
        return Snapshot(
            "demo",
            "home",
            artifacts,
            manifest_version="m1",
            config=read_config(config or {}),
            rules=read_rules(rules or []),
            config_version=version_of(canonical_json(config or {})),
            rules_version=version_of(canonical_json(rules or [])),
        )

    return make
