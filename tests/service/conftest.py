"""A small tenant on disk, served by the real application without a socket."""

from __future__ import annotations

import asyncio
import json
import shutil
import tomllib
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from recsys import _native
from recsys.artifacts.publish import publish_release
from recsys.artifacts.registry import open_registry
from recsys.contracts.http import MAX_BODY_BYTES
from recsys.contracts.manifest import Manifest
from recsys.control.plane import ControlPlane
from recsys.service.app import App
from recsys.service.auth import Authenticator, DevelopmentAuthenticator
from recsys.service.loading import Sources, load_state

NOW = "2026-01-31T12:00:00Z"
N_ITEMS = 30
ITEMS = [f"i{number:02}" for number in range(N_ITEMS)]
UNAVAILABLE, EXPIRED = "i28", "i29"


def write_artifacts(folder: Path) -> None:
    """Write a catalog of thirty items, popularity (i00 first) and co-visitation of i00 and i01."""
    folder.mkdir(parents=True)
    _native.build_catalog(
        str(folder / "catalog.rsa"),
        ITEMS,
        tags=[["even" if number % 2 == 0 else "odd"] for number in range(N_ITEMS)],
        brands=[f"b{number % 5}" for number in range(N_ITEMS)],
        categories=[f"c{number % 3}" for number in range(N_ITEMS)],
        created_at_ms=[1_700_000_000_000 + number for number in range(N_ITEMS)],
        valid_until_ms=[1_700_000_000_001 if item == EXPIRED else None for item in ITEMS],
        available=[item != UNAVAILABLE for item in ITEMS],
    )
    catalog = _native.Catalog.open(str(folder / "catalog.rsa"))
    popularity = _native.SignalPacker(catalog, kind="popularity", key_type="segment")
    popularity.push("default", ITEMS[:25], [float(100 - number) for number in range(25)])
    popularity.push("vip", ITEMS[10:15], [5.0, 4.0, 3.0, 2.0, 1.0])
    popularity.finish(str(folder / "popularity.rsa"))
    cooc = _native.SignalPacker(catalog, kind="cooc", key_type="item")
    cooc.push("i00", ["i05", "i07", "i03"], [9.0, 6.0, 3.0])
    cooc.push("i01", ["i08", "i05"], [4.0, 2.0])
    cooc.finish(str(folder / "cooc.rsa"))


def write_tenant(
    data_dir: Path, *, config: str = "", rules: list[dict[str, object]] | None = None, signals: bool = True
) -> None:
    """Create tenant ``demo`` with the surface ``home``; ``config`` is the document as TOML tables."""
    if not (data_dir / "artifacts").exists():
        write_artifacts(data_dir / "artifacts")
    plane = ControlPlane.open(data_dir / "control")
    if not plane.tenants():
        plane.create_tenant("demo", actor="test")
    if config:
        document = tomllib.loads(config)["config"]
        plane.put("demo", "config", json.dumps(document).encode(), author="test")
    if rules is not None:
        plane.put("demo", "rules", json.dumps(rules).encode(), author="test")
    plane.close()
    kinds = ("catalog", "popularity", "cooc") if signals else ("catalog",)
    publish(data_dir, kinds)


def publish(
    data_dir: Path, kinds: Iterable[str] = ("catalog", "popularity", "cooc"), surface: str = "home"
) -> Manifest:
    """Publish artifacts of the folder as the release of a surface."""
    files = {kind: data_dir / "artifacts" / f"{kind}.rsa" for kind in kinds}
    return publish_release(open_registry(data_dir / "registry"), "demo", surface, files)


@dataclass
class Answer:
    """What the application sent."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> dict:
        return json.loads(self.body)

    @property
    def item_ids(self) -> list[str]:
        return [item["item_id"] for item in self.json()["items"]]

    @property
    def warning_codes(self) -> list[str]:
        return [warning["code"] for warning in self.json()["warnings"]]


@dataclass
class Exchange:
    """One RSGI exchange: its own scope and protocol."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    query_string: str = ""
    proto: str = "http"
    answer: Answer | None = field(default=None)

    async def __call__(self) -> bytes:
        return self.body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self.body), MAX_BODY_BYTES // 4):
            yield self.body[start : start + MAX_BODY_BYTES // 4]

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.answer = Answer(status, dict(headers), body)


class Client:
    """Sends requests straight to the application."""

    exchange_type = Exchange

    def __init__(self, data_dir: Path, authenticator: Authenticator | None = None) -> None:
        self.data_dir = data_dir
        self.state, self.watcher = load_state(Sources(data_dir))
        self.app = App(self.state, self.watcher, authenticator or DevelopmentAuthenticator("demo"))

    def close(self) -> None:
        self.watcher.stop()
        self.state.close()

    def send(self, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        path, _, query = path.partition("?")
        exchange = Exchange(method, path, named, body, query)
        asyncio.run(self.app.__rsgi__(exchange, exchange))
        assert exchange.answer is not None
        return exchange.answer

    def get(self, path: str) -> Answer:
        return self.send("GET", path)

    def post(self, path: str, body: dict, **headers: str) -> Answer:
        return self.send(
            "POST", path, json.dumps(body).encode(), **{"content_type": "application/json"} | headers
        )

    def recommend(self, headers: dict[str, str] | None = None, **fields: object) -> Answer:
        body = {"surface": "home", "segment": "default", "k": 5, "user": {"user_id": "u"}}
        return self.post("/v1/recommend", body | {"context": {"now": NOW}} | fields, **headers or {})

    def similar(self, item_id: str, **fields: object) -> Answer:
        body = {"surface": "home", "segment": "default", "k": 5, "item_id": item_id, "context": {"now": NOW}}
        return self.post("/v1/similar", body | fields)

    def exposures(self) -> list[dict]:
        parts = sorted((self.data_dir / "logs" / "exposures").glob("*.jsonl"))
        return [json.loads(line) for part in parts for line in part.read_text().splitlines()]


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the tenant, published and fetched, to be copied."""
    folder = tmp_path_factory.mktemp("template")
    write_tenant(folder)
    Client(folder).close()
    shutil.rmtree(folder / "logs", ignore_errors=True)
    return folder


@pytest.fixture
def client(tmp_path: Path, template: Path) -> Iterator[Client]:
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    made = Client(tmp_path)
    yield made
    made.close()


@pytest.fixture
def make_client(tmp_path: Path, template: Path) -> Iterator:
    made: list[Client] = []
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)

    def make(authenticator: Authenticator | None = None, **settings: object) -> Client:
        write_tenant(tmp_path, **settings)
        made.append(Client(tmp_path, authenticator))
        return made[-1]

    yield make
    for one in made:
        one.close()
