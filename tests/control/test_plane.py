"""Tenants, keys, documents and audit through the control plane."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from recsys.contracts.documents import InvalidDocument
from recsys.control.keys import load_secret
from recsys.control.lmdb_store import LmdbStore
from recsys.control.plane import ControlPlane
from recsys.control.store import (
    ControlError,
    NotFoundError,
    VersionMismatchError,
)
from recsys.control.versions import DocumentKind

A, B = b'{"defaults":{"mode":"cooc"}}', b'{"defaults":{"mode":"popularity"}}'


def test_put_makes_a_document_current_and_its_etag_is_the_quoted_sha256(plane: ControlPlane) -> None:
    revision = plane.put("demo", "config", b' {"defaults": {"mode": "cooc"}}', author="ann", comment="try")
    stored = plane.document("demo", "config")
    assert stored.data == A
    assert stored.revision == revision
    assert revision.etag == f'"{revision.version}"'
    assert (revision.author, revision.comment) == ("ann", "try")


def test_stale_expected_version_changes_nothing(plane: ControlPlane) -> None:
    first = plane.put("demo", "config", A, author="ann")
    plane.put("demo", "config", B, author="bob", expected=first.version)
    before = plane.generation()
    with pytest.raises(VersionMismatchError) as caught:
        plane.put("demo", "config", b"{}", author="ann", expected=first.version)
    assert caught.value.expected == first.version
    assert plane.document("demo", "config").data == B
    assert plane.generation() == before


def test_invalid_document_is_refused_before_anything_changes(plane: ControlPlane) -> None:
    before = plane.generation()
    with pytest.raises(InvalidDocument):
        plane.put("demo", "rules", b'[{"rule_id": "x"}]', author="ann")
    assert plane.generation() == before


def test_same_content_again_is_no_change(plane: ControlPlane) -> None:
    first = plane.put("demo", "config", A, author="ann")
    before = plane.generation()
    assert plane.put("demo", "config", A, author="bob") == first
    assert plane.generation() == before


@pytest.mark.parametrize(
    ("kind", "data", "built_in"),
    [
        ("config", A, b"{}"),
        ("rules", b'[{"rule_id":"r","action":"BLOCK","target_type":"TAG","target_key":"t"}]', b"[]"),
        ("experiments", b'{"kill_switch":true}', b"{}"),
    ],
)
def test_the_first_put_is_rolled_back_to_what_is_built_in(
    plane: ControlPlane, kind: DocumentKind, data: bytes, built_in: bytes
) -> None:
    first = plane.put("demo", kind, data, author="ann")
    after = plane.roll_back("demo", kind, author="bob", comment="too much")
    assert plane.document("demo", kind).data == built_in
    assert (after.number, after.parent, after.author, after.comment) == (2, None, "bob", "too much")
    entry = plane.audit_entries("demo")[0]
    assert (entry.action, entry.before, entry.after) == (f"{kind}.rollback", first.version, after.version)
    with pytest.raises(NotFoundError, match="the empty document"):
        plane.roll_back("demo", kind, author="ann")
    assert plane.roll_back("demo", kind, author="ann", to=first.version) == first
    plane.roll_back("demo", kind, author="ann")
    plane.put("demo", kind, data, author="ann")
    plane.roll_back("demo", kind, author="ann")
    assert plane.document("demo", kind).data == built_in
    plane.verify()


def test_rollback_without_a_version_before_is_refused(plane: ControlPlane) -> None:
    with pytest.raises(NotFoundError):
        plane.roll_back("demo", "config", author="ann")
    plane.put("demo", "config", b"{}", author="ann")
    with pytest.raises(NotFoundError):
        plane.roll_back("demo", "config", author="ann")
    with pytest.raises(NotFoundError):
        plane.roll_back("demo", "config", author="ann", to="0" * 64)


def test_tenant_must_exist_and_be_one_path_segment(plane: ControlPlane) -> None:
    with pytest.raises(NotFoundError):
        plane.put("nobody", "config", A, author="ann")
    for bad in ("", "..", "a/b", "a\0b", "x" * 129, "\u00e9" * 100):
        with pytest.raises(ControlError):
            plane.create_tenant(bad, actor="ann")
    with pytest.raises(ControlError, match="exists already"):
        plane.create_tenant("demo", actor="ann")


def test_key_authenticates_until_it_is_revoked(plane: ControlPlane) -> None:
    key, text = plane.issue_key("demo", ("operator",), actor="ann", name="shop")
    principal = plane.authenticate(text)
    assert principal is not None
    assert (principal.tenant_id, principal.subject) == ("demo", f"key:{key.key_id}")
    assert principal.has_any("operator", "admin")
    assert not principal.has_any("admin")
    for wrong in ("", "rsk_", text[:-1], text + "0", f"rsk_{key.key_id}_{'0' * 64}", text.upper(), "é" * 90):
        assert plane.authenticate(wrong) is None
    plane.revoke_key(key.key_id, actor="ann")
    assert plane.authenticate(text) is None


def test_key_text_is_not_in_the_store_and_secrets_are_for_the_owner_alone(
    plane: ControlPlane, tmp_path: Path
) -> None:
    _, text = plane.issue_key("demo", ("viewer",), actor="ann")
    folder = tmp_path / "control"
    plane.backup(tmp_path / "copy")
    for path in (*folder.iterdir(), *(tmp_path / "copy").iterdir()):
        assert text.rpartition("_")[2].encode() not in path.read_bytes()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_secret(folder) == load_secret(folder)


def test_key_expires(tmp_path: Path) -> None:
    now = [datetime(2026, 1, 1, tzinfo=UTC)]
    plane = ControlPlane(LmdbStore(tmp_path / "c"), b"s" * 32, clock=lambda: now[0])
    plane.create_tenant("demo", actor="ann")
    _, text = plane.issue_key("demo", ("admin",), actor="ann", expires_at=now[0] + timedelta(hours=1))
    assert plane.authenticate(text) is not None
    now[0] += timedelta(hours=1)
    assert plane.authenticate(text) is None
    plane.close()


def test_key_of_a_suspended_tenant_is_known_and_marked(plane: ControlPlane) -> None:
    _, text = plane.issue_key("demo", ("service",), actor="ann")
    plane.set_tenant_state("demo", "suspended", actor="ann")
    principal = plane.authenticate(text)
    assert principal is not None
    assert principal.is_suspended


def test_every_change_has_one_audit_entry_and_raises_the_generation(plane: ControlPlane) -> None:
    plane.put("demo", "config", A, author="ann")
    plane.put("demo", "config", B, author="bob")
    plane.roll_back("demo", "config", author="eve", comment="worse")
    key, _ = plane.issue_key("demo", ("viewer",), actor="ann")
    plane.record_key_uses({key.key_id: datetime.now(UTC)})
    entries = plane.audit_entries("demo")
    assert [entry.action for entry in entries] == [
        "key.issue",
        "config.rollback",
        "config.put",
        "config.put",
        "tenant.create",
    ]
    assert plane.generation() == len(entries)
    assert entries[1].comment == "worse"
    assert plane.audit_entries("demo", limit=1, before_id=3)[0].number == 2
