"""Rollbacks are served soon: by every worker of a host, by replicas with a database and an object store.

What was measured is printed, one row a kind: ``pytest -s tests/control/test_replicas.py``.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.artifacts.conftest import make_release, s3, s3_endpoint
from tests.service.processes import Server, serving

from recsys.artifacts.publish import publish_release
from recsys.artifacts.registry import Registry, open_registry
from recsys.control.locations import StoreLocation
from recsys.control.plane import ControlPlane

if TYPE_CHECKING:
    from .conftest import PostgresServer

__all__ = ["s3", "s3_endpoint"]  # fixtures

ON_A_HOST_S, ON_REPLICAS_S = 1.0, 10.0
ANSWERS = 10
"""So many answers in a row, each over a connection of its own, come from every worker."""
REQUEST = {"surface": "home", "segment": "default", "k": 3, "user": {"user_id": "u"}}
HEADERS = {"x-org-id": "shop"}
BLOCK_D = b'[{"rule_id": "d", "action": "BLOCK", "target_type": "ITEM", "target_key": "d"}]'
DOCUMENTS = {
    "config": (b'{"defaults": {"brand_cap": 5}}', b'{"defaults": {"brand_cap": 6}}'),
    "rules": (b"[]", BLOCK_D),
}


@pytest.mark.slow
def test_a_rollback_is_served_by_every_worker_of_a_host_within_a_second(tmp_path: Path) -> None:
    registry = open_registry(tmp_path / "data" / "registry")
    with (
        two_versions(tmp_path, StoreLocation(tmp_path / "data" / "control"), registry) as roll_back,
        serving(tmp_path / "data", "--dev", "--workers", "2", n_lines=1) as server,
    ):
        for kind, took in measure(roll_back, [server], tries=6).items():
            assert statistics.median(took) <= ON_A_HOST_S, kind


@pytest.mark.slow
def test_a_rollback_reaches_replicas_that_share_a_database_and_an_object_store(
    postgres: PostgresServer, s3: str, tmp_path: Path
) -> None:
    store = postgres.create_database()
    location, registry = StoreLocation(tmp_path / "admin", store), open_registry(s3)
    options = ("--dev", "--store", store, "--registry", s3)
    with two_versions(tmp_path, location, registry) as roll_back, ExitStack() as stack:
        replicas = [
            stack.enter_context(serving(tmp_path / name, *options, n_lines=1)) for name in ("a", "b", "c")
        ]
        for kind, took in measure(roll_back, replicas, tries=2).items():
            assert max(took) <= ON_REPLICAS_S, kind
        # A cache of its own: each replica has fetched both releases.
        assert all(len(list((tmp_path / name / "cache").rglob("*.rsa"))) >= 3 for name in ("a", "b", "c"))


RollBack = Callable[[str], str]
"""Rolls a kind back to the version before, and returns that version."""


@contextmanager
def two_versions(folder: Path, location: StoreLocation, registry: Registry) -> Iterator[RollBack]:
    """Make a tenant with two versions of everything; between them it goes back and forth."""
    plane = ControlPlane.open(location)
    plane.create_tenant("shop", actor="t")
    versions: dict[str, list[str]] = {
        kind: [plane.put("shop", kind, document, author="t").version for document in documents]  # type: ignore[arg-type]
        for kind, documents in DOCUMENTS.items()
    }
    versions["manifest"] = [
        publish_release(registry, "shop", "home", make_release(folder / f"top-{top}", top)).version
        for top in ("a", "b")
    ]

    def roll_back(kind: str) -> str:
        versions[kind].reverse()
        to = versions[kind][-1]
        if kind == "manifest":
            return registry.roll_back("shop", "home", to=to).version
        return plane.roll_back("shop", kind, author="t", to=to).version  # type: ignore[arg-type]

    try:
        yield roll_back
    finally:
        plane.close()


def measure(roll_back: RollBack, servers: Sequence[Server], *, tries: int) -> dict[str, list[float]]:
    """Return, by kind, the seconds from asking for a rollback until all of ``servers`` serve it."""
    took: dict[str, list[float]] = {}
    for kind in ("config", "rules", "manifest"):
        took[kind] = [seconds(lambda kind=kind: roll_back(kind), servers, kind) for _ in range(tries)]  # type: ignore[misc]
        print(f"| {kind} | {statistics.median(took[kind]):.2f} s | {max(took[kind]):.2f} s |")
    return took


def seconds(action: Callable[[], str], servers: Sequence[Server], kind: str) -> float:
    began = time.monotonic()
    version = action()
    in_a_row, since = 0, time.monotonic()
    while in_a_row < ANSWERS:
        if all(served_version(server, kind) == version for server in servers):
            in_a_row += 1
        else:
            time.sleep(0.01)
            in_a_row, since = 0, time.monotonic()
        assert time.monotonic() - began < 30, kind
    return since - began


def served_version(server: Server, kind: str) -> str | None:
    answer = server.ask("POST", "/v1/recommend", REQUEST, HEADERS)[1]
    version: str | None = answer.get("meta", {}).get(f"{kind}_version")
    return version
