"""The service on a database that goes away and comes back: changes stop, serving does not."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.service.processes import Server, serving

from recsys.control.locations import StoreLocation
from recsys.control.plane import ControlPlane
from recsys.rows.body import load_body

if TYPE_CHECKING:
    from .conftest import PostgresServer

ROWS = b"surface,day,item_id,count\nhome,2026-01-31,a,3\nhome,2026-01-31,b,2\n"
REQUEST = {"surface": "home", "segment": "default", "k": 2, "user": {"user_id": "u"}}
CONFIG = "/v1/admin/tenants/shop/config"


def eventually(check: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.slow
def test_a_database_that_is_down_stops_changes_and_not_serving(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    url = postgres.create_database()
    plane = ControlPlane.open(StoreLocation(tmp_path / "control", url))
    plane.create_tenant("shop", actor="t")
    key = {"authorization": f"Bearer {plane.issue_key('shop', ('operator', 'service'), actor='t')[1]}"}
    load_body(plane, "shop", "popularity", [ROWS], "text/csv", scratch=tmp_path / "s", actor="t")
    plane.close()

    def recommend(server: Server) -> tuple[int, list[str], str]:
        status, answer = server.ask("POST", "/v1/recommend", REQUEST, key)
        items = [item["item_id"] for item in answer.get("items", [])]
        return status, items, answer.get("meta", {}).get("config_version", "")

    def put(server: Server, cap: int) -> tuple[int, dict[str, object]]:
        return server.ask("PUT", CONFIG, {"defaults": {"brand_cap": cap}}, key)

    options = ("--store", url, "--workers", "2")
    with serving(tmp_path, *options, n_lines=1) as server:
        eventually(lambda: recommend(server)[:2] == (200, ["a", "b"]))
        version = str(put(server, 5)[1]["version"])
        eventually(lambda: all(recommend(server)[2] == version for _ in range(20)))
        postgres.stop()
        try:
            for _ in range(40):
                assert recommend(server) == (200, ["a", "b"], version)
            status, problem = put(server, 6)
            assert (status, problem["code"]) == (503, "RECSYS_OVERLOADED")
        finally:
            postgres.start()
        eventually(lambda: put(server, 7)[0] == 200)
        later = str(server.ask("GET", f"{CONFIG}/versions", headers=key)[1]["versions"][0]["version"])
        eventually(lambda: all(recommend(server) == (200, ["a", "b"], later) for _ in range(20)))
    postgres.stop()
    try:  # a host that starts during an outage serves what it has seen
        with serving(tmp_path, *options, n_lines=1) as server:
            eventually(lambda: recommend(server) == (200, ["a", "b"], later))
    finally:
        postgres.start()
