"""Registries of both sorts, the S3 one on moto's server, and small releases to publish."""

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from recsys._native import Catalog, SignalPacker, build_catalog
from recsys.artifacts.registry import Registry, open_registry

ITEMS = ["a", "b", "c", "d"]
MakeFiles = Callable[..., dict[str, Path]]


def make_release(
    folder: Path, top: str = "a", *, end: str = "2026-01-02", items: list[str] = ITEMS
) -> dict[str, Path]:
    """Write catalog, popularity and co-visitation; ``top`` is the most popular item."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {kind: folder / f"{kind}.rsa" for kind in ("catalog", "popularity", "cooc")}
    build_catalog(str(files["catalog"]), items, tags=[[f"tag-{item}"] for item in items])
    catalog = Catalog.open(str(files["catalog"]))
    metadata = json.dumps({"window": {"start": "2026-01-01T00:00:00Z", "end": f"{end}T00:00:00Z"}})
    popularity = SignalPacker(catalog, kind="popularity", key_type="segment")
    popularity.push("default", items, [9.0 if item == top else 1.0 for item in items])
    popularity.finish(str(files["popularity"]), metadata=metadata)
    cooc = SignalPacker(catalog, kind="cooc", key_type="item")
    cooc.push(items[0], [items[1], items[2]], [2.0, 1.0])
    cooc.finish(str(files["cooc"]), metadata=metadata)
    return files


@pytest.fixture
def release(tmp_path: Path) -> MakeFiles:
    """Make a release's files in a folder of their own."""

    def make(top: str = "a", *, end: str = "2026-01-02", items: list[str] = ITEMS) -> dict[str, Path]:
        return make_release(tmp_path / f"build-{top}-{end}-{len(items)}", top, end=end, items=items)

    return make


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """The address of an S3 server with the bucket ``releases``: moto's, which honours conditional puts."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [Path(sys.executable).with_name("moto_server"), "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        make_bucket = urllib.request.Request(f"http://127.0.0.1:{port}/releases", method="PUT")
        for _ in range(300):
            try:
                urllib.request.urlopen(make_bucket).close()
                break
            except urllib.error.URLError:
                time.sleep(0.1)
        else:
            pytest.fail("moto's server does not start")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()


@pytest.fixture
def s3(s3_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a registry of its own in the bucket; the environment has what a client needs."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT": s3_endpoint,
        "AWS_ALLOW_HTTP": "true",
    }.items():
        monkeypatch.setenv(name, value)
    return f"s3://releases/{tmp_path.name}"


@pytest.fixture(params=["folder", "s3"])
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> Registry:
    """An empty registry of each sort."""
    if request.param == "folder":
        return open_registry(tmp_path / "registry")
    return open_registry(request.getfixturevalue("s3"))


@pytest.fixture
def folder_registry(tmp_path: Path) -> Registry:
    """An empty registry in a folder."""
    return open_registry(tmp_path / "registry")
