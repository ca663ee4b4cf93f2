import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from recsys._native import Catalog, SignalPacker
from recsys.artifacts.errors import (
    BackwardsError,
    ManifestError,
    PublishConflictError,
    RegistryError,
    RegistryUnreachableError,
    ReleaseNotFoundError,
)
from recsys.artifacts.folder_store import FolderStore
from recsys.artifacts.publish import publish_release, refuse_going_back
from recsys.artifacts.registry import Registry, open_registry
from recsys.contracts.errors import ArtifactError
from recsys.contracts.manifest import Manifest, read_manifest


def pointer_of(registry: Registry) -> bytes:
    blob = registry.store.get("current/shop/home/manifest.json")
    assert blob is not None
    return blob.data


def test_the_first_release_is_current_and_says_what_it_holds(registry: Registry, release) -> None:
    assert registry.surfaces() == []
    assert registry.current("shop", "home") is None
    assert registry.pointer_tag("shop", "home") is None
    manifest = publish_release(registry, "shop", "home", release())
    current = registry.current("shop", "home")
    assert current is not None
    assert current.manifest == manifest
    assert manifest.parent is None
    assert registry.surfaces() == [("shop", "home")]
    assert set(manifest.current) == {"catalog", "popularity", "cooc"}
    popularity = manifest.artifacts["popularity"]
    assert manifest.current["popularity"] == f"artifacts/shop/popularity/{popularity.sha256}.rsa"
    assert popularity.counts["entries"] == 4
    assert popularity.window is not None
    assert popularity.window.end == datetime(2026, 1, 2, tzinfo=UTC)
    assert manifest.artifacts["catalog"].counts["items"] == 4
    blob = registry.store.get(f"manifests/shop/home/{manifest.version}.json")
    assert blob is not None
    assert blob.data == pointer_of(registry)


def test_a_release_follows_the_one_that_it_takes_over_from(registry: Registry, release) -> None:
    first = publish_release(registry, "shop", "home", release("a"))
    tag = registry.pointer_tag("shop", "home")
    second = publish_release(registry, "shop", "home", release("b"))
    assert second.parent == first.version
    assert registry.pointer_tag("shop", "home") != tag
    assert [one.version for one in registry.history("shop", "home")] == [second.version, first.version]
    third = publish_release(registry, "shop", "home", release("a"))
    assert third.parent == second.version
    assert third.version != first.version
    assert third.current == first.current


def test_the_same_files_again_change_nothing(registry: Registry, release) -> None:
    first = publish_release(registry, "shop", "home", release())
    before = pointer_of(registry)
    assert publish_release(registry, "shop", "home", release()) == first
    assert pointer_of(registry) == before
    assert len(registry.history("shop", "home")) == 1


def test_the_same_files_again_heal_a_lost_artifact(registry: Registry, release) -> None:
    first = publish_release(registry, "shop", "home", release())
    registry.store.delete(first.current["cooc"])
    with pytest.raises(ReleaseNotFoundError, match="the cooc of release"):
        registry.check_complete(first)
    publish_release(registry, "shop", "home", release())
    registry.check_complete(first)


def test_a_damaged_artifact_of_a_folder_is_written_again(folder_registry: Registry, release) -> None:
    first = publish_release(folder_registry, "shop", "home", release())
    assert isinstance(folder_registry.store, FolderStore)
    path = folder_registry.store.path(first.current["cooc"])
    sound = path.read_bytes()
    path.write_bytes(sound[:-1] + b"?")
    publish_release(folder_registry, "shop", "home", release("b"))
    assert path.read_bytes() == sound


def test_rolling_back_and_forward_moves_the_pointer_only(registry: Registry, release) -> None:
    first = publish_release(registry, "shop", "home", release("a"))
    second = publish_release(registry, "shop", "home", release("b"))
    assert registry.roll_back("shop", "home") == first
    current = registry.current("shop", "home")
    assert current is not None
    assert current.manifest == first
    assert registry.roll_back("shop", "home", second.version[:8]) == second
    assert registry.roll_back("shop", "home", second.version) == second
    assert len(registry.history("shop", "home")) == 2


def test_rolling_back_needs_a_release_that_is_all_there(registry: Registry, release) -> None:
    with pytest.raises(ReleaseNotFoundError, match="nothing is published for shop/home"):
        registry.roll_back("shop", "home")
    first = publish_release(registry, "shop", "home", release("a"))
    with pytest.raises(ReleaseNotFoundError, match="no release before"):
        registry.roll_back("shop", "home")
    with pytest.raises(ReleaseNotFoundError, match="no release starts with 'ffff"):
        registry.roll_back("shop", "home", "f" * 64)
    second = publish_release(registry, "shop", "home", release("b"))
    with pytest.raises(PublishConflictError, match="the current version is"):
        registry.roll_back("shop", "home", expected=first.version)
    registry.store.delete(first.current["popularity"])
    with pytest.raises(ReleaseNotFoundError, match="the popularity of release"):
        registry.roll_back("shop", "home")
    current = registry.current("shop", "home")
    assert current is not None
    assert current.manifest == second


def test_of_publishers_at_once_one_wins_and_the_others_are_told(
    registry: Registry, tmp_path: Path, release
) -> None:
    publish_release(registry, "shop", "home", release("a"))
    barrier = threading.Barrier(3)
    won: list[str] = []
    told: list[str] = []

    class Together(Registry):
        def check_complete(self, manifest) -> None:
            super().check_complete(manifest)
            barrier.wait(30)

    def publish(top: str) -> None:
        try:
            won.append(publish_release(Together(registry.store), "shop", "home", files[top]).version)
        except PublishConflictError as error:
            told.append(str(error))

    files = {top: release(top) for top in "bcd"}
    threads = [threading.Thread(target=publish, args=(top,)) for top in files]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert len(told) == 2
    assert all(won[0] in message for message in told)
    current = registry.current("shop", "home")
    assert current is not None
    assert current.manifest.version == won[0]


def test_a_rollback_and_a_publish_at_once_do_not_undo_each_other(registry: Registry, release) -> None:
    publish_release(registry, "shop", "home", release("a"))
    second = publish_release(registry, "shop", "home", release("b"))
    stale = registry.current("shop", "home")
    assert stale is not None
    registry.roll_back("shop", "home")
    with pytest.raises(PublishConflictError):
        registry.point(second, stale.data, stale.etag)


def test_going_back_in_time_is_refused_unless_it_is_meant(registry: Registry, release) -> None:
    publish_release(registry, "shop", "home", release("a", end="2026-01-05"))
    older = release("b", end="2026-01-04")
    with pytest.raises(
        BackwardsError, match=r"cooc ends at 2026-01-04T00:00:00Z, the current one at 2026-01-05"
    ):
        publish_release(registry, "shop", "home", older)
    manifest = publish_release(registry, "shop", "home", older, backfill=True)
    window = manifest.artifacts["cooc"].window
    assert window is not None
    assert window.end == datetime(2026, 1, 4, tzinfo=UTC)


def test_a_surface_that_no_folder_can_be_called_by_is_refused(registry: Registry, release) -> None:
    with pytest.raises(RegistryError, match="too long for a folder"):
        publish_release(registry, "shop", "\u00e9" * 100, release())


def test_interactions_of_the_last_day_of_rows_do_not_go_back(registry: Registry, release) -> None:
    publish_release(registry, "shop", "home", release("a", end="2026-01-05"))
    current = registry.current("shop", "home")
    assert current is not None

    def ending(end: datetime, source: str) -> Manifest:
        cooc = current.manifest.artifacts["cooc"]
        assert cooc.window is not None
        cooc = replace(cooc, window=replace(cooc.window, end=end), params={"source": source})
        return replace(current.manifest, artifacts={"cooc": cooc})

    day_end, noon = datetime(2026, 1, 5, 23, 59, 59, tzinfo=UTC), datetime(2026, 1, 5, 12, tzinfo=UTC)
    later = ending(noon, "interactions")
    refuse_going_back(later, current._replace(manifest=ending(day_end, "rows")))
    with pytest.raises(BackwardsError):
        refuse_going_back(later, current._replace(manifest=ending(day_end, "interactions")))
    with pytest.raises(BackwardsError):
        refuse_going_back(
            ending(noon - timedelta(days=1), "interactions"),
            current._replace(manifest=ending(day_end, "rows")),
        )


def test_only_over_the_version_that_was_expected(registry: Registry, release) -> None:
    with pytest.raises(PublishConflictError, match="the current version is none"):
        publish_release(registry, "shop", "home", release(), expected="f" * 64)
    first = publish_release(registry, "shop", "home", release())
    publish_release(registry, "shop", "home", release("b"), expected=first.version)


def test_files_that_do_not_fit_together_are_refused(
    folder_registry: Registry, tmp_path: Path, release
) -> None:
    files = release()
    with pytest.raises(RegistryError, match="needs a catalog"):
        publish_release(folder_registry, "shop", "home", {"cooc": files["cooc"]})
    with pytest.raises(ArtifactError, match="a popularity, where cooc is expected"):
        publish_release(folder_registry, "shop", "home", files | {"cooc": files["popularity"]})
    other = release("a", items=["a", "b", "c", "d", "e"])
    with pytest.raises(ArtifactError, match="belongs to another catalog"):
        publish_release(folder_registry, "shop", "home", files | {"cooc": other["cooc"]})
    broken = tmp_path / "broken.rsa"
    broken.write_bytes(files["cooc"].read_bytes()[:-1])
    with pytest.raises(ArtifactError, match=r"broken\.rsa"):
        publish_release(folder_registry, "shop", "home", files | {"cooc": broken})
    assert folder_registry.surfaces() == []
    assert not (tmp_path / "registry").exists()


@pytest.mark.parametrize("name", ["..", "a/b", "", ".", "a\\b", "a\nb"])
def test_names_that_are_no_path_segment_are_refused(folder_registry: Registry, release, name: str) -> None:
    with pytest.raises(RegistryError, match="tenant"):
        publish_release(folder_registry, name, "home", release())
    with pytest.raises(RegistryError, match="surface"):
        folder_registry.current("shop", name)


@pytest.mark.parametrize("name", ["Zürich shop", "50%", "a#b?c", ".hidden", "a+b", "日本", "x%2Fy"])
def test_any_other_name_works(registry: Registry, release, name: str) -> None:
    first = publish_release(registry, name, name, release())
    assert registry.surfaces() == [(name, name)]
    assert registry.history(name, name) == [first]
    publish_release(registry, name, name, release("b"))
    assert registry.roll_back(name, name) == first


def test_a_pointer_that_is_no_manifest_is_an_error_that_names_it(registry: Registry, release) -> None:
    manifest = publish_release(registry, "shop", "home", release())
    good = pointer_of(registry)
    document = json.loads(good)
    for bad, complaint in (
        (b"", "it is empty"),
        (good[: len(good) // 2], "not JSON"),
        (json.dumps(document | {"v": 2}).encode(), "v: "),
        (json.dumps(document | {"surface": "cart"}).encode(), "version: is not that of the content"),
        (
            json.dumps(
                {
                    "v": 1,
                    "tenant": "other",
                    "surface": "home",
                    "current": {"cooc": "x"},
                    "updated_at": "2026-01-01T00:00:00Z",
                }
            ).encode(),
            "is that of other/home",
        ),
        (json.dumps(document | {"current": {}, "version": ""}).encode(), "names no artifact"),
    ):
        registry.store.delete("current/shop/home/manifest.json")
        registry.store.create("current/shop/home/manifest.json", bad)
        with pytest.raises(ManifestError, match=r"current/shop/home/manifest\.json") as told:
            registry.current("shop", "home")
        assert complaint in str(told.value)
    registry.store.delete("current/shop/home/manifest.json")
    assert publish_release(registry, "shop", "home", release()).version == manifest.version


def test_a_foreign_pointer_is_taken_over_and_can_be_returned_to(registry: Registry, release) -> None:
    foreign = {
        "v": 1,
        "tenant": "shop",
        "surface": "home",
        "current": {"popularity": "theirs/popularity.json"},
        "updated_at": "2026-01-01T08:00:00+02:00",
        "made_by": "another program",
    }
    registry.store.create("theirs/popularity.json", b"{}")
    registry.store.create("current/shop/home/manifest.json", json.dumps(foreign).encode())
    before = registry.current("shop", "home")
    assert before is not None
    assert before.manifest.version == read_manifest(json.dumps(foreign).encode(), "x").version
    second = publish_release(registry, "shop", "home", release())
    assert second.parent == before.manifest.version
    assert registry.roll_back("shop", "home") == before.manifest
    assert json.loads(pointer_of(registry)) == foreign


def test_an_old_artifact_is_uploaded_again_so_that_gc_spares_it(
    registry: Registry, release, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = publish_release(registry, "shop", "home", release())
    uploaded: list[str] = []
    upload = registry.store.upload

    def watch(key: str, path: Path) -> None:
        uploaded.append(key)
        upload(key, path)

    monkeypatch.setattr(registry.store, "upload", watch)
    second = publish_release(registry, "shop", "home", release("b"))
    assert uploaded == [second.current["popularity"]]
    later = datetime.now(UTC) + timedelta(hours=13)
    publish_release(registry, "shop", "home", release("a"), clock=lambda: later)
    assert set(uploaded[1:]) == set(first.current.values())


def test_a_kind_that_readers_do_not_know_is_published_all_the_same(
    folder_registry: Registry, release
) -> None:
    files = release()
    packer = SignalPacker(Catalog.open(str(files["catalog"])), kind="brand_new", key_type="user")
    packer.push("u1", ["a"], [1.0])
    path = files["cooc"].with_name("brand_new.rsa")
    packer.finish(str(path))
    manifest = publish_release(folder_registry, "shop", "home", files | {"brand_new": path})
    assert manifest.artifacts["brand_new"].counts["keys"] == 1


def test_a_store_that_does_not_answer_is_an_error_not_an_empty_registry(
    s3: str, release, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RegistryUnreachableError, match="no such bucket"):
        open_registry("s3://absent-bucket/x").current("shop", "home")
    monkeypatch.setenv("AWS_ENDPOINT", "http://127.0.0.1:9")
    closed = open_registry(s3)
    with pytest.raises(RegistryUnreachableError, match="current/shop/home"):
        closed.current("shop", "home")


def test_a_url_of_another_kind_is_refused() -> None:
    with pytest.raises(RegistryError, match="a registry is a folder"):
        open_registry("ftp://host/x")
