"""Publishers are killed at random moments: the pointer always names a release that is all there.

``RECSYS_TEST_KILLS`` says how often, for each sort of registry.
"""

import hashlib
import multiprocessing
import os
import random
import signal
import time
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest

from recsys._native import Catalog, SignalPacker
from recsys.artifacts.collect import collect_garbage
from recsys.artifacts.publish import publish_release
from recsys.artifacts.registry import Registry, open_registry

KILLS = int(os.environ.get("RECSYS_TEST_KILLS", "8"))
LONGEST_S = 0.25


def publish_and_roll_back(url: str, files: dict[str, Path], environment: dict[str, str], started) -> None:
    """Publish release after release, each other than the ones before, and roll every third back."""
    os.environ.update(environment)  # what the test has set since the fork server began
    registry = open_registry(url)
    catalog = Catalog.open(str(files["catalog"]))
    path = files["cooc"].with_name(f"cooc-{os.getpid()}.rsa")
    started.set()
    for number in count():
        packer = SignalPacker(catalog, kind="cooc", key_type="item")
        packer.push("a", ["b"], [os.getpid() + number / 1000])
        packer.finish(str(path))
        publish_release(registry, "shop", "home", files | {"cooc": path})
        if number % 3 == 2:
            registry.roll_back("shop", "home")


def check_pointer(registry: Registry) -> str | None:
    """Return the version that is current; fail unless every byte of it is there, and as it should be."""
    current = registry.current("shop", "home")
    if current is None:
        return None
    manifest = current.manifest
    registry.check_complete(manifest)
    for kind, uri in manifest.current.items():
        content = b"".join(registry.store.read(uri))
        assert hashlib.sha256(content).hexdigest() == manifest.artifacts[kind].sha256, kind
    copy = registry.store.get(f"manifests/shop/home/{manifest.version}.json")
    assert copy is not None
    assert copy.data == current.data
    return manifest.version


@pytest.mark.slow
def test_a_killed_publisher_leaves_a_release_that_is_all_there(registry: Registry, release) -> None:
    files = release()
    dice = random.Random(20260131)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["recsys.artifacts.publish", "recsys.artifacts.object_store", "obstore.store"]
    )
    versions: set[str | None] = set()
    for _ in range(KILLS):
        started = context.Event()
        publisher = context.Process(
            target=publish_and_roll_back, args=(registry.url, files, dict(os.environ), started)
        )
        publisher.start()
        assert started.wait(60)
        time.sleep(dice.uniform(0, LONGEST_S))
        assert publisher.is_alive(), "the publisher failed by itself"
        assert publisher.pid is not None
        os.kill(publisher.pid, signal.SIGKILL)
        publisher.join(60)
        publisher.close()
        versions.add(check_pointer(registry))
    assert len(versions) > KILLS // 10, "the publishers did not get to publish"
    everything = registry.history("shop", "home")
    for manifest in everything:  # manifests are written last, so even one that lost is all there
        registry.check_complete(manifest)
    collect_garbage(registry, keep=1, clock=lambda: datetime.now(UTC) + timedelta(days=99))
    check_pointer(registry)
    published = publish_release(registry, "shop", "home", files)
    assert check_pointer(registry) == published.version


@pytest.mark.parametrize("moment", ["upload", "create", "replace"])
def test_a_publisher_that_dies_at_a_step_changes_nothing(
    registry: Registry, release, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = publish_release(registry, "shop", "home", release("a"))

    def die(*_arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(registry.store, moment, die)
    with pytest.raises(KeyboardInterrupt):
        publish_release(registry, "shop", "home", release("b"))
    monkeypatch.undo()
    assert check_pointer(registry) == first.version
    second = publish_release(registry, "shop", "home", release("b"))
    assert check_pointer(registry) == second.version
