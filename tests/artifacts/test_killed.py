"""Publishers are killed at random moments: the pointer always names a release that is all there, and the
audit trail leads to it move by move.

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
from recsys.artifacts.registry import Moving, Registry, open_registry
from recsys.control import audit
from recsys.control.plane import ControlPlane
from recsys.control.release_moves import entering, settle_moves

KILLS = int(os.environ.get("RECSYS_TEST_KILLS", "8"))
MOST_STEPS = 4
FIRST_STEP_S = 0.25
STEP_TIMEOUT_S = 120


def publish_and_roll_back(
    url: str, control: Path, files: dict[str, Path], environment: dict[str, str], steps
) -> None:
    """Publish release after release, each other than the ones before, and roll every third back.

    Each number sent through ``steps`` is how long the step before took, in seconds; the first stands for
    the start.
    """
    os.environ.update(environment)  # what the test has set since the fork server began
    registry = open_registry(url)
    plane = ControlPlane.open(control)

    def enter(action: str) -> Moving:
        return entering(plane, "shop", "home", actor=f"publisher {os.getpid()}", action=action)

    catalog = Catalog.open(str(files["catalog"]))
    path = files["cooc"].with_name(f"cooc-{os.getpid()}.rsa")
    begun = time.monotonic()

    def tell() -> None:
        nonlocal begun
        steps.send(time.monotonic() - begun)
        begun = time.monotonic()

    tell()
    for number in count():
        packer = SignalPacker(catalog, kind="cooc", key_type="item")
        packer.push("a", ["b"], [os.getpid() + number / 1000])
        packer.finish(str(path))
        publish_release(registry, "shop", "home", files | {"cooc": path}, moving=enter("release.publish"))
        tell()
        if number % 3 == 2:
            registry.roll_back("shop", "home", moving=enter("release.rollback"))
            tell()


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


def check_trail(control: Path, registry: Registry) -> tuple[int, int]:
    """Return how many moves are entered, and how many of them late; fail unless they lead to the pointer."""
    plane = ControlPlane.open(control)
    try:
        settle_moves(plane, registry, "shop", "home")
        assert settle_moves(plane, registry, "shop", "home") is None
        plane.verify()
        with plane.read() as reader:
            entries = list(audit.tenant_entries(reader, "shop"))
    finally:
        plane.close()
    version = None
    for entry in reversed(entries):
        assert entry.before == version, f"entry {entry.number} does not begin where the one before it ends"
        version = entry.after
    current = registry.current("shop", "home")
    assert version == (None if current is None else current.manifest.version)
    return len(entries), sum(entry.comment.startswith("entered late") for entry in entries)


@pytest.mark.slow
def test_a_killed_publisher_leaves_a_release_that_is_all_there(
    registry: Registry, release, tmp_path: Path
) -> None:
    files = release()
    control = tmp_path / "control"
    dice = random.Random(20260131)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["recsys.artifacts.publish", "recsys.artifacts.object_store", "recsys.control.plane", "obstore.store"]
    )
    versions: set[str | None] = set()
    for _ in range(KILLS):
        steps, end = context.Pipe(duplex=False)
        publisher = context.Process(
            target=publish_and_roll_back, args=(registry.url, control, files, dict(os.environ), end)
        )
        publisher.start()
        end.close()
        for number in range(1 + dice.randrange(MOST_STEPS)):
            assert steps.poll(STEP_TIMEOUT_S), "the publisher hangs"
            took_s = steps.recv()  # raises when the publisher has failed
            step_s = took_s if number else FIRST_STEP_S
        time.sleep(dice.uniform(0, 1.5 * step_s))  # so that the moment is one of a step, however fast
        assert publisher.is_alive(), "the publisher failed by itself"
        assert publisher.pid is not None
        os.kill(publisher.pid, signal.SIGKILL)
        publisher.join(60)
        publisher.close()
        steps.close()
        versions.add(check_pointer(registry))
        moves, late = check_trail(control, registry)
    print(
        f"{registry.url}: {KILLS} kills, {len(versions)} versions found, {moves} moves, {late} entered late"
    )
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
