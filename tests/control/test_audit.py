"""The audit trail: what breaks it is found, pages follow each other, and comments can be erased."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from recsys.control import audit
from recsys.control.backup import verify_store
from recsys.control.lmdb_store import LmdbStore
from recsys.control.plane import ControlPlane
from recsys.control.store import CorruptStoreError, NotFoundError, Table, Writer


def key(number: int) -> bytes:
    return number.to_bytes(8)


def rewrite(table: Table, number: int, old: bytes, new: bytes) -> Callable[[Writer], None]:
    def change(writer: Writer) -> None:
        value = writer.get(table, key(number))
        assert value is not None
        assert old in value
        writer.put(table, key(number), value.replace(old, new))

    return change


def drop_tail(writer: Writer) -> None:
    writer.delete(Table.AUDIT, key(3))
    writer.delete(Table.AUDIT_BY_TENANT, b"demo\0" + key(3))


def forge_erasure(writer: Writer) -> None:
    writer.put(Table.AUDIT_PAYLOADS, key(3), b'{"erased_by":1}')


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (rewrite(Table.AUDIT, 1, b'"ann"', b'"eve"'), "audit entry 1: its content"),
        (lambda writer: writer.delete(Table.AUDIT, key(2)), "audit entry 2: missing"),
        (drop_tail, "ends at entry 2, but the head of the store stands at 3"),
        (lambda writer: writer.clear(Table.HEADS), "head of the store stands at 0"),
        (rewrite(Table.AUDIT_PAYLOADS, 3, b"why", b"not"), "audit entry 3: its comment does not match"),
        (lambda writer: writer.delete(Table.AUDIT_PAYLOADS, key(3)), "audit entry 3: its comment is missing"),
        (forge_erasure, "audit entry 3: its comment is gone, and no erasure"),
        (
            lambda writer: writer.delete(Table.AUDIT_BY_TENANT, b"demo\0" + key(1)),
            "entry 1: missing in the list",
        ),
    ],
)
def test_damage_is_found_and_named(damage: Callable[[Writer], None], problem: str, tmp_path: Path) -> None:
    store = LmdbStore(tmp_path / "c")
    plane = ControlPlane(store, b"s" * 32)
    plane.create_tenant("demo", actor="ann")
    plane.create_tenant("other", actor="ann")
    plane.put("demo", "config", b"{}", author="ann", comment="why")
    assert plane.verify().audit_entries == 3
    store.update(damage)
    with pytest.raises(CorruptStoreError, match=problem):
        plane.verify()
    plane.close()


def test_a_change_after_a_lost_head_is_refused(tmp_path: Path) -> None:
    store = LmdbStore(tmp_path / "c")
    plane = ControlPlane(store, b"s" * 32)
    plane.create_tenant("demo", actor="ann")
    store.update(lambda writer: writer.clear(Table.HEADS))
    with pytest.raises(CorruptStoreError, match="after the end of the trail"):
        plane.create_tenant("other", actor="ann")
    plane.close()


def test_pages_follow_each_other_without_gap_or_repeat(plane: ControlPlane) -> None:
    plane.create_tenant("dem", actor="a")
    plane.create_tenant("demo2", actor="a")
    for number in range(12):
        plane.put(
            ("demo", "dem", "demo2")[number % 3],
            "config",
            b'{"limits":{"max_k":%d}}' % (number + 1),
            author="a",
        )
    everything = plane.audit_entries("demo")
    assert {entry.tenant for entry in everything} == {"demo"}
    assert len(everything) == 5
    pages, last = [], None
    while page := plane.audit_entries(
        "demo", limit=2, before=last and last.time, before_id=last and last.number
    ):
        pages += page
        last = page[-1]
    assert pages == everything
    assert plane.audit_entries("demo", before=everything[2].time) == everything[3:]
    assert plane.audit_entries("demo", before=everything[0].time + timedelta(days=1)) == everything
    assert plane.audit_entries("demo", before_id=10**30) == everything
    assert plane.audit_entries("demo", before_id=-1) == []
    with pytest.raises(NotFoundError):
        plane.audit_entries("nobody")


def test_entries_of_other_tenants_are_not_read_for_a_page(tmp_path: Path) -> None:
    store = LmdbStore(tmp_path / "c")
    plane = ControlPlane(store, b"s" * 32)
    plane.create_tenant("demo", actor="a")
    plane.create_tenant("busy", actor="a")
    for number in range(50):
        plane.put("busy", "config", b'{"limits":{"max_k":%d}}' % (number + 1), author="a")
    # An unreadable entry of the other tenant would be met by a walk over the trail.
    store.update(lambda writer: writer.put(Table.AUDIT, key(20), b"?"))
    assert [entry.action for entry in plane.audit_entries("demo")] == ["tenant.create"]
    plane.close()


def test_an_erased_comment_is_gone_and_the_chain_holds(tmp_path: Path) -> None:
    store = LmdbStore(tmp_path / "c")
    plane = ControlPlane(store, b"s" * 32)
    for tenant in ("demo", "other"):
        plane.create_tenant(tenant, actor="a")
        plane.put(tenant, "config", b"{}", author="a", comment="asked for by ABCD, to test")
    plane.put("demo", "config", b'{"flags":{}}', author="a", comment="of another")

    def erase(writer: Writer) -> int:
        count = audit.erase_text(writer, "demo", "abcd")
        audit.append_entry(
            writer, time=datetime.now(UTC), tenant="demo", actor="a", action=audit.ERASE_ACTION,
            subject="user", before=None, after=None,
        )  # fmt: skip
        return count

    assert store.update(erase) == 1
    comments = {(entry.comment, entry.is_erased) for entry in plane.audit_entries("demo")}
    assert comments == {("", False), ("of another", False), ("", True)}
    assert plane.audit_entries("other")[0].comment == "asked for by ABCD, to test"
    with store.read() as reader:
        assert verify_store(reader).audit_entries == 6
    plane.close()
