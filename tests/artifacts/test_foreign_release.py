import json
from pathlib import Path

import pytest

from recsys._native import Catalog, Signal
from recsys.artifacts.cache import ArtifactCache
from recsys.artifacts.registry import Registry
from recsys.contracts.errors import ArtifactError
from recsys.contracts.manifest import Manifest

COMMON = {
    "v": 1,
    "tenant": "shop",
    "surface": "home",
    "window": {"start": "2026-01-01T00:00:00Z", "end": "2026-02-01T00:00:00Z"},
    "build": {"built_at": "2026-02-01T03:00:00Z", "version": "7.1"},
}
DOCUMENTS: dict[str, dict[str, object]] = {
    "popularity": {"items": [{"item_id": "a", "count": 3}, {"item_id": "b", "count": 1}]},
    "cooc": {"neighbors": [{"item_id": "a", "items": [{"item_id": "c", "count": 2}]}]},
    "content_sim": {"items": [{"item_id": "d", "tags": ["red"]}]},
    "implicit": {"users": [{"user_id": "u1", "items": [{"item_id": "b", "score": 0.5}]}]},
}


def put(
    registry: Registry, documents: dict[str, dict[str, object]], updated_at: str = "2026-02-01T04:00:00Z"
) -> Manifest:
    """Write JSON artifacts and a pointer as another program does."""
    for kind, document in documents.items():
        key = f"theirs/{kind}.json"
        registry.store.delete(key)
        registry.store.create(key, json.dumps({**COMMON, "artifact_type": kind, **document}).encode())
    manifest = {
        "v": 1,
        "tenant": "shop",
        "surface": "home",
        "current": {kind: f"theirs/{kind}.json" for kind in documents},
        "updated_at": updated_at,
    }
    registry.store.delete("current/shop/home/manifest.json")
    registry.store.create("current/shop/home/manifest.json", json.dumps(manifest).encode())
    current = registry.current("shop", "home")
    assert current is not None
    return current.manifest


def test_json_artifacts_of_a_foreign_manifest_are_usable(registry: Registry, tmp_path: Path) -> None:
    manifest = put(registry, DOCUMENTS)
    cache = ArtifactCache(tmp_path / "cache")
    paths = cache.fetch(registry, manifest)
    assert set(paths) == {"catalog", "popularity", "cooc", "implicit"}
    catalog = Catalog.open(str(paths["catalog"]))
    assert [catalog.item_at(n).item_id for n in range(catalog.n_items)] == ["a", "b", "c", "d"]
    assert catalog.tag_counts() == [("red", 1)]
    signals = {kind: Signal.open(str(paths[kind])) for kind in ("popularity", "cooc", "implicit")}
    assert {signal.ids_digest for signal in signals.values()} == {catalog.ids_digest}
    assert signals["popularity"].ranked(catalog, "default", 9) == [("a", 3.0), ("b", 1.0)]
    assert signals["cooc"].ranked(catalog, "a", 9) == [("c", 2.0)]
    assert signals["implicit"].ranked(catalog, "u1", 9) == [("b", 0.5)]


def test_they_are_converted_once_and_serve_while_the_registry_is_down(
    folder_registry: Registry, tmp_path: Path
) -> None:
    manifest = put(folder_registry, DOCUMENTS)
    paths = ArtifactCache(tmp_path / "cache").fetch(folder_registry, manifest)
    before = {kind: path.stat().st_ino for kind, path in paths.items()}
    for kind in DOCUMENTS:
        folder_registry.store.delete(f"theirs/{kind}.json")
    again = ArtifactCache(tmp_path / "cache").fetch(folder_registry, manifest)
    assert {kind: path.stat().st_ino for kind, path in again.items()} == before


def test_a_document_that_changes_in_place_is_converted_again(registry: Registry, tmp_path: Path) -> None:
    cache = ArtifactCache(tmp_path / "cache")
    cache.fetch(registry, put(registry, DOCUMENTS))
    changed = DOCUMENTS | {"popularity": {"items": [{"item_id": "b", "count": 9}]}}
    paths = cache.fetch(registry, put(registry, changed, "2026-02-02T04:00:00Z"))
    catalog = Catalog.open(str(paths["catalog"]))
    assert Signal.open(str(paths["popularity"])).ranked(catalog, "default", 9) == [("b", 9.0)]


def test_a_document_that_is_wrong_is_named_and_nothing_is_replaced(
    registry: Registry, tmp_path: Path
) -> None:
    cache = ArtifactCache(tmp_path / "cache")
    good = put(registry, DOCUMENTS)
    cache.fetch(registry, good)
    wrong = put(registry, {"cooc": {"neighbors": [{"item_id": "a"}]}}, "2026-02-02T04:00:00Z")
    with pytest.raises(ArtifactError, match=r"theirs/cooc\.json: neighbors\[0\]"):
        cache.fetch(registry, wrong)
    misplaced = put(registry, {"cooc": {"artifact_type": "implicit", "users": []}}, "2026-02-03T04:00:00Z")
    with pytest.raises(ArtifactError, match=r"an? implicit, where cooc is expected"):
        cache.fetch(registry, misplaced)
    assert cache.last_fetched("shop", "home") == good
