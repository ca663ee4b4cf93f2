"""Drills on releases: one too old, a store that does not answer, an artifact that is damaged."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

from recsys.artifacts.registry import open_registry
from recsys.pilot.drills.scratch import SURFACE, TENANT, publish_into, unix_epoch
from recsys.pilot.drills.stage import DrillError, Stage, component, list_of
from recsys.pilot.service_process import ServiceProcess

SCHEDULE_HOURS = 24.0


def stale_artifact(stage: Stage) -> None:
    """Serve a release that is older than twice its schedule; publish a new one."""
    stage.scratch.publish()
    config = stage.scratch.folder / "config.json"
    config.write_text(json.dumps({"surfaces": {SURFACE: {"schedule_hours": SCHEDULE_HOURS}}}))
    stage.command("config", "put", str(config), "--tenant", TENANT, "--data-dir", str(stage.data_dir))
    service = stage.serve()
    stage.inject(
        "the pipeline has not published for a long time",
        lambda: stage.scratch.publish(generation=2, at=unix_epoch()),
    )
    stage.detect("the release is older than twice its schedule", lambda: _is_stale(service))
    stage.recover(
        lambda: stage.scratch.publish(generation=3),
        lambda: not _is_stale(service) and list_of(service)[:1] == ["item-003"],
        "run the pipeline, which publishes",
    )


def object_store_down(stage: Stage) -> None:
    """Take the registry away; lists go on, and are followed again once it is back."""
    stage.scratch.publish()
    service = stage.serve()
    before = list_of(service)
    away = stage.scratch.registry_dir.with_name("registry-away")
    stage.inject("the registry is gone", lambda: stage.scratch.registry_dir.rename(away))
    stage.detect("/readyz names the registry", lambda: component(service, "registry") is False)
    if list_of(service) != before:
        raise DrillError("the last release did not go on serving")
    stage.recover(
        lambda: away.rename(stage.scratch.registry_dir),
        lambda: component(service, "registry") is True,
        "bring the object store back",
    )


def corrupt_artifact(stage: Stage) -> None:
    """Publish a release with a flipped byte; the last good one serves until the pointer is rolled back."""
    stage.scratch.publish()
    service = stage.serve()
    before = list_of(service)
    stage.inject("an artifact of the new release has a flipped byte", lambda: _publish_damaged(stage))
    stage.detect(
        "recsys_snapshot_stale is 1, recsys_snapshot_failures_total grows",
        lambda: service.metric("recsys_snapshot_stale", tenant=TENANT, surface=SURFACE) == 1,
    )
    if list_of(service) != before:
        raise DrillError("the last good release did not go on serving")
    stage.recover(
        lambda: stage.command(
            *("manifest", "rollback", "--tenant", TENANT, "--surface", SURFACE),
            *("--data-dir", str(stage.data_dir)),
        ),
        lambda: service.metric("recsys_snapshot_stale", tenant=TENANT, surface=SURFACE) == 0,
    )


def _is_stale(service: ServiceProcess) -> bool:
    labels = {"tenant": TENANT, "surface": SURFACE}
    updated = service.metric("recsys_manifest_updated_timestamp_seconds", **labels)
    schedule = service.metric("recsys_manifest_schedule_seconds", **labels)
    return schedule > 0 and time.time() - updated > 2 * schedule


def _publish_damaged(stage: Stage) -> None:
    """Publish into a copy, damage what is new there, and let the copy take the registry's place."""
    registry = stage.scratch.registry_dir
    copy = registry.with_name("registry-copy")
    shutil.copytree(registry, copy)
    known = set(_artifacts(copy))
    publish_into(open_registry(copy), stage.scratch.artifacts(generation=2))
    damaged = next(path for path in _artifacts(copy) if path not in known)
    data = bytearray(damaged.read_bytes())
    data[len(data) // 2] ^= 0x40
    damaged.chmod(0o644)
    damaged.write_bytes(data)
    registry.rename(registry.with_name("registry-before"))
    copy.rename(registry)


def _artifacts(registry: Path) -> list[Path]:
    return sorted((registry / "artifacts").rglob("*.rsa"))
