from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from recsys.artifacts.collect import collect_garbage
from recsys.artifacts.errors import ManifestError, ReleaseNotFoundError
from recsys.artifacts.folder_store import FolderStore
from recsys.artifacts.publish import publish_release
from recsys.artifacts.registry import Registry

NOW = datetime.now(UTC)


def later() -> datetime:
    return NOW + timedelta(days=30)


def test_old_releases_go_with_what_only_they_name(registry: Registry, release) -> None:
    published = [publish_release(registry, "shop", "home", release(top)) for top in "abcd"]
    registry.pin(published[0])
    planned = collect_garbage(registry, keep=1, dry_run=True, clock=later)
    assert len(registry.history("shop", "home")) == 4
    done = collect_garbage(registry, keep=1, clock=later)
    assert (planned.manifests, planned.artifacts, planned.bytes) == (
        done.manifests,
        done.artifacts,
        done.bytes,
    )
    assert done.manifests == [f"manifests/shop/home/{published[1].version}.json"]
    assert done.artifacts == [published[1].current["popularity"]]
    assert {one.version for one in registry.history("shop", "home")} == {
        published[index].version for index in (0, 2, 3)
    }
    registry.unpin(published[0])
    assert collect_garbage(registry, keep=1, clock=later).artifacts == [published[0].current["popularity"]]
    for kept in (published[2], published[3]):
        registry.check_complete(kept)
    assert registry.roll_back("shop", "home") == published[2]
    with pytest.raises(ReleaseNotFoundError):
        registry.roll_back("shop", "home", published[1].version)


def test_the_current_release_stays_however_old_it_is(registry: Registry, release) -> None:
    first = publish_release(registry, "shop", "home", release("a"))
    for top in "bcd":
        publish_release(registry, "shop", "home", release(top))
    registry.roll_back("shop", "home", first.version)
    collect_garbage(registry, keep=1, clock=later)
    registry.check_complete(first)
    assert registry.find("shop", "home") == first


def test_what_is_young_stays(registry: Registry, release) -> None:
    for top in "abc":
        publish_release(registry, "shop", "home", release(top))
    assert collect_garbage(registry, keep=1).manifests == []
    registry.store.create("artifacts/shop/cooc/being-published.rsa", b"x")
    assert collect_garbage(registry, keep=1, min_age=timedelta(0)).artifacts == []


def test_artifacts_that_another_surface_names_stay(registry: Registry, release) -> None:
    for top in "abc":
        publish_release(registry, "shop", "home", release(top))
    cart = publish_release(registry, "shop", "cart", release("a"))
    collect_garbage(registry, keep=1, clock=later)
    registry.check_complete(cart)


def test_a_damaged_manifest_stops_it_before_anything_is_removed(registry: Registry, release) -> None:
    for top in "abc":
        publish_release(registry, "shop", "home", release(top))
    registry.store.create("manifests/shop/home/broken.json", b"{")
    before = [stat.key for stat in registry.store.list("artifacts")]
    with pytest.raises(ManifestError, match="broken"):
        collect_garbage(registry, keep=1, clock=later)
    assert [stat.key for stat in registry.store.list("artifacts")] == before


def test_what_killed_writers_left_goes(folder_registry: Registry, release) -> None:
    publish_release(folder_registry, "shop", "home", release())
    assert isinstance(folder_registry.store, FolderStore)
    left = Path(folder_registry.url) / "artifacts" / "shop" / "cooc" / ".tmp-1-left"
    left.write_bytes(b"half")
    assert collect_garbage(folder_registry).unfinished_files == 0
    assert collect_garbage(folder_registry, clock=later).unfinished_files == 1
    assert not left.exists()
