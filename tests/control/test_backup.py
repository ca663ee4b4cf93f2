"""Backup and restore, from and into either store, and what they refuse."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from recsys.control.backup import read_manifest, restore_backup
from recsys.control.keys import SECRET_FILE
from recsys.control.locations import StoreLocation
from recsys.control.plane import ControlPlane, utc_now
from recsys.control.store import ControlError

A, B = b'{"limits":{"max_k":1}}', b'{"limits":{"max_k":2}}'


def restore(folder: Path, location: StoreLocation, *, replace: bool = False) -> None:
    restore_backup(
        folder, location.open_store, location.secret_folder, replace=replace, actor="t", time=utc_now()
    )


@pytest.fixture
def backed_up(plane: ControlPlane, tmp_path: Path) -> tuple[Path, str]:
    """A backup, and a key that it knows; the store has gone on since."""
    plane.put("demo", "config", A, author="ann", comment="why")
    _, text = plane.issue_key("demo", ("viewer",), actor="ann")
    plane.backup(tmp_path / "copy")
    plane.put("demo", "config", B, author="ann")
    return tmp_path / "copy", text


def test_a_restored_store_is_what_it_was(
    backed_up: tuple[Path, str], location: StoreLocation, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    folder, text = backed_up
    assert read_manifest(folder).generation == 3
    targets = [StoreLocation(tmp_path / "a"), StoreLocation(tmp_path / "b" / "control")]
    if location.url:
        targets[0] = StoreLocation(tmp_path / "a", request.getfixturevalue("postgres").create_database())
    for target in targets:
        restore(folder, target)
        restored = ControlPlane.open(target)
        assert restored.document("demo", "config").data == A
        assert restored.verify().audit_entries == 4
        assert restored.authenticate(text) is not None
        assert restored.audit_entries("demo")[1].comment == "why"
        restored.put("demo", "config", B, author="ann")
        restored.close()


def test_a_store_that_holds_something_is_replaced_only_when_told_and_its_users_notice(
    backed_up: tuple[Path, str], plane: ControlPlane, location: StoreLocation
) -> None:
    folder, _ = backed_up
    known = plane.wait_for_change(0, 0.0)
    recsys = Path(sys.executable).with_name("recsys")
    command = [str(recsys), "restore", str(folder), "--data-dir", str(location.secret_folder.parent)]
    command += ["--store", location.url] if location.url else []
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "--replace" in refused.stderr
    assert plane.document("demo", "config").data == B
    plane.put("demo", "rules", b"[]", author="ann")
    done = subprocess.run([*command, "--replace"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "restored generation 3\n")
    assert plane.wait_for_change(known + 1, 20.0) == 4
    assert plane.document("demo", "config").data == A
    plane.verify()


def test_another_secret_is_not_lost_unasked(backed_up: tuple[Path, str], tmp_path: Path) -> None:
    target = StoreLocation(tmp_path / "elsewhere")
    target.secret_folder.mkdir()
    (target.secret_folder / SECRET_FILE).write_bytes(b"x" * 32)
    with pytest.raises(ControlError, match="another secret"):
        restore(backed_up[0], target)
    assert (target.secret_folder / SECRET_FILE).read_bytes() == b"x" * 32


@pytest.mark.parametrize("plane_kind", ["lmdb"])
def test_what_is_not_a_whole_backup_is_refused(plane_kind: str, tmp_path: Path) -> None:
    plane = ControlPlane.open(tmp_path / "control")
    plane.create_tenant("demo", actor="t")
    plane.backup(tmp_path / "copy")
    with pytest.raises(ControlError, match="exists already"):
        plane.backup(tmp_path / "copy")
    plane.close()
    target = StoreLocation(tmp_path / "new")
    with pytest.raises(ControlError, match="not a backup"):
        restore(tmp_path / "control", target)
    data = tmp_path / "copy" / "data.mdb"
    whole = data.read_bytes()
    for damaged in (whole[:5000], bytes(len(whole)), whole.replace(b'"actor":"t"', b'"actor":"u"')):
        data.write_bytes(damaged)
        with pytest.raises(ControlError):
            restore(tmp_path / "copy", target)
    data.write_bytes(whole)
    (tmp_path / "copy" / SECRET_FILE).unlink()
    with pytest.raises(ControlError, match=f"{SECRET_FILE} is missing"):
        restore(tmp_path / "copy", target)
    assert not (tmp_path / "new" / "data.mdb").exists()


def test_a_failed_backup_leaves_no_folder(tmp_path: Path) -> None:
    plane = ControlPlane.open(tmp_path / "control")
    plane.create_tenant("demo", actor="t")
    (tmp_path / "file").touch()
    with pytest.raises(ControlError, match="could not be written"):
        plane.backup(tmp_path / "file" / "copy")
    plane.close()


def test_keys_are_not_issued_under_another_secret(plane: ControlPlane, location: StoreLocation) -> None:
    plane.issue_key("demo", ("viewer",), actor="t")
    (location.secret_folder / SECRET_FILE).write_bytes(b"x" * 32)
    other = StoreLocation(location.secret_folder, location.url)
    if location.url is None:
        plane.close()
    opened = ControlPlane.open(other)
    for call in (lambda: opened.issue_key("demo", ("viewer",), actor="t"), opened.serving_view):
        with pytest.raises(ControlError, match="is not the secret"):
            call()
    opened.close()
