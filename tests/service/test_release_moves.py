"""A service enters moves of releases that others were stopped in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.artifacts.conftest import make_release

from recsys.artifacts.publish import publish_release
from recsys.artifacts.registry import open_registry
from recsys.control.keys import load_secret
from recsys.control.lmdb_store import LmdbStore
from recsys.control.plane import ControlPlane
from recsys.control.release_moves import entering, pending_moves
from recsys.service.loading import Sources
from recsys.service.release_moves import STOPPED_AFTER, enter_stopped_moves


def test_only_what_was_begun_long_ago_is_entered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime(2026, 1, 5, tzinfo=UTC)
    store = LmdbStore(tmp_path / "control")
    plane = ControlPlane(store, load_secret(tmp_path / "control"), clock=lambda: now)
    plane.create_tenant("shop", actor="t")
    registry = open_registry(tmp_path / "registry")
    point = registry.point

    def point_and_die(*arguments: object) -> None:
        point(*arguments)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    monkeypatch.setattr(registry, "point", point_and_die)
    moving = entering(plane, "shop", "home", actor="ann", action="release.publish")
    with pytest.raises(KeyboardInterrupt):
        publish_release(registry, "shop", "home", make_release(tmp_path / "files"), moving=moving)
    sources = Sources(tmp_path)
    enter_stopped_moves(plane, sources)
    assert len(pending_moves(plane)) == 1
    now += STOPPED_AFTER + timedelta(seconds=1)
    enter_stopped_moves(plane, sources)
    enter_stopped_moves(plane, sources)
    assert pending_moves(plane) == []
    assert [one.action for one in plane.audit_entries("shop")] == ["release.publish", "tenant.create"]
    plane.close()
