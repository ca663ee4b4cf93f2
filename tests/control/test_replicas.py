"""Rollbacks reach every replica: two services with folders of their own, one database, one object store."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.artifacts.conftest import make_release, s3, s3_endpoint
from tests.service.processes import Server, serving

from recsys.artifacts.publish import publish_release
from recsys.artifacts.registry import open_registry
from recsys.control.locations import StoreLocation
from recsys.control.plane import ControlPlane

if TYPE_CHECKING:
    from .conftest import PostgresServer

__all__ = ["s3", "s3_endpoint"]  # fixtures

WITHIN_S = 10.0
REQUEST = {"surface": "home", "segment": "default", "k": 3, "user": {"user_id": "u"}}
HEADERS = {"x-org-id": "shop"}
BLOCK_D = b'[{"rule_id": "d", "action": "BLOCK", "target_type": "ITEM", "target_key": "d"}]'


@pytest.mark.slow
def test_rollbacks_reach_replicas_that_share_a_database_and_an_object_store(
    postgres: PostgresServer,
    s3: str,
    tmp_path: Path,
) -> None:
    store = postgres.create_database()
    plane = ControlPlane.open(StoreLocation(tmp_path / "admin", store))
    plane.create_tenant("shop", actor="t")
    for kind, documents in {
        "config": (b'{"defaults": {"brand_cap": 5}}', b'{"defaults": {"brand_cap": 6}}'),
        "rules": (b"[]", BLOCK_D),
    }.items():
        for document in documents:
            plane.put("shop", kind, document, author="t")  # type: ignore[arg-type]
    registry = open_registry(s3)
    for top in ("a", "b"):
        publish_release(registry, "shop", "home", make_release(tmp_path / top, top))
    options = ("--dev", "--store", store, "--registry", s3)
    with (
        serving(tmp_path / "one", *options, n_lines=1) as one,
        serving(tmp_path / "two", *options, n_lines=1) as two,
    ):
        replicas = (one, two)
        arrive(replicas, "manifest_version", registry.history("shop", "home")[0].version)
        for kind in ("config", "rules"):
            version = plane.roll_back("shop", kind, author="t").version  # type: ignore[arg-type]
            print(f"{kind}: {arrive(replicas, f'{kind}_version', version):.2f} s")
        back = registry.roll_back("shop", "home")
        print(f"manifest: {arrive(replicas, 'manifest_version', back.version):.2f} s")
        assert [served(server)["items"][0]["item_id"] for server in replicas] == ["a", "a"]
    plane.close()


def arrive(replicas: tuple[Server, ...], field: str, version: str | None) -> float:
    """Return the seconds until every replica serves ``version``."""
    began = time.monotonic()
    while any(served(server).get("meta", {}).get(field) != version for server in replicas):
        assert time.monotonic() - began < WITHIN_S, field
        time.sleep(0.05)
    return time.monotonic() - began


def served(server: Server) -> dict:
    return server.ask("POST", "/v1/recommend", REQUEST, HEADERS)[1]
