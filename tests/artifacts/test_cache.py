import hashlib
import json
import multiprocessing
import random
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from recsys.artifacts.cache import ArtifactCache
from recsys.artifacts.cache_files import FilePool
from recsys.artifacts.errors import (
    ManifestError,
    RegistryError,
    RegistryUnreachableError,
    ReleaseNotFoundError,
)
from recsys.artifacts.publish import publish_release
from recsys.artifacts.registry import Registry, open_registry
from recsys.contracts.errors import ArtifactError
from recsys.contracts.manifest import Manifest, read_manifest


class Counting:
    """A store that counts what is read from it, and takes its time."""

    def __init__(self, registry: Registry, delay_s: float = 0.0) -> None:
        self._store = registry.store
        self._delay_s = delay_s
        self.reads: list[str] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def read(self, key: str) -> Iterator[bytes]:
        self.reads.append(key)
        time.sleep(self._delay_s)
        return self._store.read(key)


def same(paths: dict[str, Path], files: dict[str, Path]) -> bool:
    return {k: p.read_bytes() for k, p in paths.items()} == {k: p.read_bytes() for k, p in files.items()}


def size_of(files: dict[str, Path]) -> int:
    return sum(path.stat().st_size for path in files.values())


def test_a_release_is_fetched_once(registry: Registry, tmp_path: Path, release) -> None:
    files = release()
    manifest = publish_release(registry, "shop", "home", files)
    counting = Counting(registry)
    cache = ArtifactCache(tmp_path / "cache")
    assert same(cache.fetch(Registry(counting), manifest), files)
    assert len(counting.reads) == 3
    assert same(cache.fetch(Registry(counting), manifest), files)
    other = ArtifactCache(tmp_path / "cache")
    assert same(other.fetch(Registry(counting), manifest), files)
    assert len(counting.reads) == 3
    assert cache.last_fetched("shop", "home") == manifest
    assert cache.surfaces() == [("shop", "home")]
    assert cache.used_bytes() == size_of(files)


def test_what_two_releases_share_is_not_read_again(
    folder_registry: Registry, tmp_path: Path, release
) -> None:
    cache = ArtifactCache(tmp_path / "cache")
    cache.fetch(folder_registry, publish_release(folder_registry, "shop", "home", release("a")))
    second = publish_release(folder_registry, "shop", "home", release("b"))
    counting = Counting(folder_registry)
    cache.fetch(Registry(counting), second)
    assert counting.reads == [second.current["popularity"]]


def test_what_was_fetched_serves_while_the_registry_is_down(
    folder_registry: Registry, tmp_path: Path, release
) -> None:
    files = release()
    manifest = publish_release(folder_registry, "shop", "home", files)
    ArtifactCache(tmp_path / "cache").fetch(folder_registry, manifest)
    shutil.rmtree(tmp_path / "registry")
    cache = ArtifactCache(tmp_path / "cache")
    last = cache.last_fetched("shop", "home")
    assert last == manifest
    assert same(cache.fetch(folder_registry, last), files)


def test_content_that_is_not_what_the_manifest_says_never_enters(
    registry: Registry, tmp_path: Path, release
) -> None:
    files = release()
    manifest = publish_release(registry, "shop", "home", files)
    sound = files["cooc"].read_bytes()
    for bad, complaint in (
        (sound[:-1] + b"?", "where the manifest says"),
        (sound[:-1], r"has \d+ bytes, not"),
        (sound + b"?", "has more than"),
        (b"", "has 0 bytes, not"),
    ):
        registry.store.delete(manifest.current["cooc"])
        registry.store.create(manifest.current["cooc"], bad)
        cache = ArtifactCache(tmp_path / "cache")
        with pytest.raises((ArtifactError, RegistryError), match=complaint):
            cache.fetch(registry, manifest)
        assert cache.last_fetched("shop", "home") is None
        assert not list((tmp_path / "cache" / "files").glob(f"{manifest.artifacts['cooc'].sha256}*"))
        assert not list((tmp_path / "cache" / "files").glob(".tmp-*"))
    registry.store.delete(manifest.current["cooc"])
    with pytest.raises(ReleaseNotFoundError):
        cache.fetch(registry, manifest)
    registry.store.create(manifest.current["cooc"], sound)
    assert same(cache.fetch(registry, manifest), files)


def test_threads_load_an_artifact_once(folder_registry: Registry, tmp_path: Path, release) -> None:
    manifest = publish_release(folder_registry, "shop", "home", release())
    counting = Counting(folder_registry, delay_s=0.05)
    cache = ArtifactCache(tmp_path / "cache")
    threads = [threading.Thread(target=cache.fetch, args=(Registry(counting), manifest)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(counting.reads) == 3


def _fetch_and_report(root: Path, folder: Path, manifest: Manifest, start, reads, done) -> None:
    counting = Counting(open_registry(root), delay_s=0.05)
    cache = ArtifactCache(folder)
    start.wait(60)
    cache.fetch(Registry(counting), manifest)
    reads.put(len(counting.reads))
    done.wait(60)


def test_processes_load_an_artifact_once(folder_registry: Registry, tmp_path: Path, release) -> None:
    manifest = publish_release(folder_registry, "shop", "home", release())
    context = multiprocessing.get_context("forkserver")
    start, done, reads = context.Event(), context.Event(), context.Queue()
    arguments = (tmp_path / "registry", tmp_path / "cache", manifest, start, reads, done)
    processes = [context.Process(target=_fetch_and_report, args=arguments) for _ in range(3)]
    for process in processes:
        process.start()
    start.set()
    assert sum(reads.get(timeout=60) for _ in processes) == 3
    done.set()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0


def test_the_least_recently_used_leave_first(folder_registry: Registry, tmp_path: Path, release) -> None:
    releases = {top: publish_release(folder_registry, "shop", top, release(top)) for top in "abc"}
    size = releases["a"].artifacts["popularity"].bytes
    shared = size_of(release("a")) - size
    cache = ArtifactCache(tmp_path / "cache", max_bytes=shared + 2 * size)
    cache.fetch(folder_registry, releases["a"])
    cache.fetch(folder_registry, releases["b"])
    cache.forget("shop", "a")
    cache.forget("shop", "b")
    cache.fetch(folder_registry, releases["a"])  # now b's was used least recently
    cache.forget("shop", "a")
    cache.fetch(folder_registry, releases["c"])
    names = {path.name for path in (tmp_path / "cache" / "files").iterdir()}
    assert f"{releases['b'].artifacts['popularity'].sha256}.rsa" not in names
    assert {f"{releases[top].artifacts['popularity'].sha256}.rsa" for top in "ac"} <= names
    assert cache.used_bytes() <= shared + 2 * size


def test_what_is_in_use_never_leaves(folder_registry: Registry, tmp_path: Path, release) -> None:
    releases = {top: publish_release(folder_registry, "shop", "home", release(top)) for top in "abc"}
    size = releases["a"].artifacts["popularity"].bytes
    cache = ArtifactCache(tmp_path / "cache", max_bytes=size_of(release("a")) + size)
    first = cache.fetch(folder_registry, releases["a"])
    second = cache.fetch(folder_registry, releases["b"])
    elsewhere = ArtifactCache(tmp_path / "cache", max_bytes=1)
    with pytest.raises(RegistryError, match="do not fit beside"):
        elsewhere.fetch(folder_registry, releases["c"])
    with pytest.raises(RegistryError, match="do not fit beside"):
        cache.fetch(folder_registry, releases["c"])  # a may still serve, b is remembered
    assert all(path.is_file() for path in [*first.values(), *second.values()])
    assert cache.last_fetched("shop", "home") == releases["b"]


def test_what_a_killed_download_left_is_removed(folder_registry: Registry, tmp_path: Path, release) -> None:
    files = release()
    manifest = publish_release(folder_registry, "shop", "home", files)
    cache = ArtifactCache(tmp_path / "cache", max_bytes=size_of(files))
    left = tmp_path / "cache" / "files" / ".tmp-1-left"
    left.write_bytes(b"x" * 100)
    assert same(cache.fetch(folder_registry, manifest), files)
    assert not left.exists()


def foreign(current: dict[str, str]) -> Manifest:
    document = {
        "v": 1,
        "tenant": "shop",
        "surface": "home",
        "current": current,
        "updated_at": "2026-01-01T00:00:00Z",
    }
    return read_manifest(json.dumps(document).encode(), "manifest")


def test_a_manifest_without_digests_is_fetched_and_checked(
    registry: Registry, tmp_path: Path, release
) -> None:
    files = release()
    for kind, path in files.items():
        registry.store.upload(f"theirs/{kind}.bin", path)
    manifest = foreign({kind: f"theirs/{kind}.bin" for kind in files})
    cache = ArtifactCache(tmp_path / "cache")
    paths = cache.fetch(registry, manifest)
    assert same(paths, files)
    assert paths["cooc"].stem == hashlib.sha256(files["cooc"].read_bytes()).hexdigest()
    counting = Counting(registry)
    other = ArtifactCache(tmp_path / "cache")
    other.fetch(Registry(counting), foreign({kind: f"theirs/{kind}.bin" for kind in files}))
    assert counting.reads == []
    registry.store.upload("theirs/cooc.bin", release("a", items=["a", "b", "c"])["cooc"])
    changed = other.fetch(Registry(counting), foreign({"cooc": "theirs/cooc.bin"}))
    assert counting.reads == ["theirs/cooc.bin"]
    assert changed["cooc"].read_bytes() != files["cooc"].read_bytes()


def test_a_foreign_file_that_is_no_artifact_is_an_error_that_names_it(
    registry: Registry, tmp_path: Path
) -> None:
    registry.store.create("theirs/cooc.bin", b"nothing of ours" * 100)
    cache = ArtifactCache(tmp_path / "cache")
    with pytest.raises(ArtifactError, match=r"theirs/cooc\.bin"):
        cache.fetch(registry, foreign({"cooc": "theirs/cooc.bin"}))
    with pytest.raises(ManifestError):
        cache.fetch(registry, foreign({"cooc": "../secret"}))
    assert cache.used_bytes() == 0


def test_a_store_that_is_down_says_so(
    s3: str, tmp_path: Path, release, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = publish_release(open_registry(s3), "shop", "home", release())
    monkeypatch.setenv("AWS_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(RegistryUnreachableError):
        ArtifactCache(tmp_path / "cache").fetch(open_registry(s3), manifest)


def test_a_damaged_record_is_as_good_as_none(folder_registry: Registry, tmp_path: Path, release) -> None:
    files = release()
    manifest = publish_release(folder_registry, "shop", "home", files)
    cache = ArtifactCache(tmp_path / "cache")
    cache.fetch(folder_registry, manifest)
    (tmp_path / "cache" / "releases" / "shop" / "home.json").write_bytes(b"{")
    assert cache.last_fetched("shop", "home") is None
    assert same(cache.fetch(folder_registry, manifest), files)
    assert cache.last_fetched("shop", "home") == manifest


@pytest.mark.parametrize("size_of_piece", [1 << 20, 700_001, 9 << 20])
def test_a_file_is_what_its_pieces_are_whatever_their_size(tmp_path: Path, size_of_piece: int) -> None:
    data = random.Random(size_of_piece).randbytes(5_000_003)
    pieces = [data[start : start + size_of_piece] for start in range(0, len(data), size_of_piece)]
    pool = FilePool(tmp_path, 1 << 30, set)
    with pool.new_file(len(data)) as file:
        file.write(iter(pieces), "data")
        file.keep("data")
    with (
        pool.new_file(len(data)) as file,
        pytest.raises(RegistryError, match="5000002 bytes, not the 5000003"),
    ):
        file.write([data[:-1]], "data")
    with pool.new_file(len(data)) as file, pytest.raises(RegistryError, match="more than the 5000003 bytes"):
        file.write([data, b"x"], "data")
    lease = pool.lease("data")
    assert lease is not None
    assert lease.path.read_bytes() == data
    lease.close()
