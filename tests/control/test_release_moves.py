"""A pointer that moves has its entry in the audit trail, whenever whoever moves it is stopped."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from recsys.artifacts.errors import PublishConflictError
from recsys.artifacts.registry import Registry, open_registry
from recsys.contracts.manifest import Manifest, give_version, write_manifest
from recsys.control.plane import ControlPlane
from recsys.control.release_moves import entering, erase_pending_text, pending_moves, settle_moves
from recsys.control.store import ControlError, CorruptStoreError, Table


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.fixture
def shop(plane: ControlPlane) -> ControlPlane:
    plane.create_tenant("shop", actor="t")
    return plane


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return open_registry(tmp_path / "registry")


def release_of(kind: str) -> Manifest:
    """A release of one artifact that nobody looks at."""
    made = datetime(2026, 1, 1, tzinfo=UTC)
    return give_version(Manifest(v=1, tenant="shop", surface="home", current={kind: "x"}, updated_at=made))


def die() -> None:
    """Stand for the end of the process."""
    raise Killed


def move(
    plane: ControlPlane,
    registry: Registry,
    to: Manifest,
    *,
    by: str = "ann",
    before: Callable[[], object] = lambda: None,
    after: Callable[[], object] = lambda: None,
) -> None:
    """Point at a release; ``before`` and ``after`` are called around the move of the pointer."""
    current = registry.current("shop", "home")
    moving = entering(plane, "shop", "home", actor=by, action="release.publish", comment=f"for {by}")
    with moving(None if current is None else current.manifest.version, to.version):
        before()
        registry.point(to, write_manifest(to), None if current is None else current.etag)
        after()


def entries(plane: ControlPlane) -> list[tuple[str, str | None, str | None]]:
    """Who moved the pointer from where to where, oldest first."""
    found = plane.audit_entries("shop")
    return [(one.actor, one.before, one.after) for one in reversed(found) if one.action == "release.publish"]


def test_a_move_is_entered_once(shop: ControlPlane, registry: Registry) -> None:
    first = release_of("cooc")
    move(shop, registry, first)
    assert entries(shop) == [("ann", None, first.version)]
    assert shop.audit_entries("shop")[0].comment == "for ann"
    assert settle_moves(shop, registry, "shop", "home") is None
    assert pending_moves(shop) == []


def test_a_move_that_was_killed_before_its_entry_is_entered_late_in_the_name_of_who_made_it(
    shop: ControlPlane, registry: Registry
) -> None:
    first = release_of("cooc")
    with pytest.raises(Killed):
        move(shop, registry, first, after=die)
    assert entries(shop) == []
    entry = settle_moves(shop, registry, "shop", "home")
    assert entry is not None
    assert entry.comment.startswith("for ann. entered late: begun at ")
    assert settle_moves(shop, registry, "shop", "home") is None
    assert entries(shop) == [("ann", None, first.version)]
    shop.verify()


def test_the_next_move_enters_the_one_before_it_first(shop: ControlPlane, registry: Registry) -> None:
    first, second = release_of("cooc"), release_of("popularity")
    with pytest.raises(Killed):
        move(shop, registry, first, after=die)
    move(shop, registry, second, by="bob")
    assert entries(shop) == [("ann", None, first.version), ("bob", first.version, second.version)]


def test_a_move_that_was_killed_before_the_pointer_moved_is_never_entered(
    shop: ControlPlane, registry: Registry
) -> None:
    first, second = release_of("cooc"), release_of("popularity")
    move(shop, registry, first)
    with pytest.raises(Killed):
        move(shop, registry, second, before=die)
    assert settle_moves(shop, registry, "shop", "home") is None
    move(shop, registry, second, by="bob")
    assert settle_moves(shop, registry, "shop", "home") is None
    assert entries(shop) == [("ann", None, first.version), ("bob", first.version, second.version)]
    assert pending_moves(shop) == []


def test_of_two_moves_from_one_release_only_the_one_that_was_made_is_entered(
    shop: ControlPlane, registry: Registry
) -> None:
    first, second, third = release_of("cooc"), release_of("popularity"), release_of("implicit")
    move(shop, registry, first)
    with pytest.raises(Killed):
        move(shop, registry, second, before=die)
    with pytest.raises(Killed):
        move(shop, registry, third, by="bob", after=die)
    assert settle_moves(shop, registry, "shop", "home") is not None
    move(shop, registry, second, by="eve")
    assert entries(shop) == [
        ("ann", None, first.version),
        ("bob", first.version, third.version),
        ("eve", third.version, second.version),
    ]


def test_whoever_loses_leaves_nothing_behind(shop: ControlPlane, registry: Registry) -> None:
    first, second = release_of("cooc"), release_of("popularity")
    with pytest.raises(PublishConflictError):
        move(shop, registry, first, before=lambda: move(shop, registry, second, by="bob"))
    assert pending_moves(shop) == []
    assert entries(shop) == [("bob", None, second.version)]


def test_somebody_else_may_enter_a_move_while_it_ends(shop: ControlPlane, registry: Registry) -> None:
    first = release_of("cooc")
    move(shop, registry, first, after=lambda: settle_moves(shop, registry, "shop", "home"))
    assert entries(shop) == [("ann", None, first.version)]


def test_a_store_that_fails_after_the_move_says_that_the_move_is_done(
    shop: ControlPlane, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object) -> None:
        raise ControlError("no room")

    with pytest.raises(ControlError, match=r"release\.publish of .* is done, but .*no room"):
        move(shop, registry, release_of("cooc"), after=lambda: monkeypatch.setattr(shop, "update", refuse))
    monkeypatch.undo()
    assert settle_moves(shop, registry, "shop", "home") is not None


def test_surfaces_and_tenants_are_apart(shop: ControlPlane, registry: Registry) -> None:
    with pytest.raises(Killed):
        move(shop, registry, release_of("cooc"), after=die)
    assert settle_moves(shop, registry, "shop", "cart") is None
    assert settle_moves(shop, registry, "other", "home") is None
    assert settle_moves(shop, registry, "shop", "home") is not None


def test_the_comment_of_a_pending_move_can_be_erased(shop: ControlPlane, registry: Registry) -> None:
    with pytest.raises(Killed):
        move(shop, registry, release_of("cooc"), after=die)
    assert shop.update(lambda writer: erase_pending_text(writer, "other", "for ann")) == 0
    assert shop.update(lambda writer: erase_pending_text(writer, "shop", "for ann")) == 1
    entry = settle_moves(shop, registry, "shop", "home")
    assert entry is not None
    assert entry.comment.startswith("entered late: begun at ")


def test_an_unreadable_one_is_told_by_verify(shop: ControlPlane) -> None:
    shop.update(lambda writer: writer.put(Table.RELEASE_MOVES, b"shop\0x", b"{"))
    with pytest.raises(CorruptStoreError, match="release move"):
        shop.verify()
