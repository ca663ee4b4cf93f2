"""Backup and restore of a control store: a folder with an LMDB store, the keys' secret, and a manifest.

The form is the same whatever the store stands on, so a backup of one kind of store can be restored into
another: that is also how an installation moves from one host to a database.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from msgspec import Struct

from recsys.control.audit import append_entry, verify_chain
from recsys.control.keys import SECRET_FILE, install_secret, load_secret
from recsys.control.lmdb_store import LmdbStore
from recsys.control.release_moves import verify_moves
from recsys.control.rows import verify_rows
from recsys.control.store import ControlError, Reader, Store, Table, Writer, read_head
from recsys.control.tenants import list_tenants
from recsys.control.versions import verify_documents

MANIFEST_FILE = "backup.json"
FILES = ("data.mdb", SECRET_FILE)
BACKUP_VERSION = 1


class StoreReport(Struct, frozen=True):
    """What a verification counted."""

    audit_entries: int
    documents: int
    tenants: int
    row_sets: int = 0


class BackupManifest(Struct, frozen=True, forbid_unknown_fields=True):
    """What a backup holds. ``generation`` is that of the store at the moment of the copy; ``sha256`` by
    file.
    """

    v: int
    made_at: datetime
    generation: int
    report: StoreReport
    sha256: dict[str, str]


def verify_store(reader: Reader) -> StoreReport:
    """Check the audit chain and every document, revision, pointer and row; raises ``CorruptStoreError``."""
    verify_moves(reader)
    return StoreReport(
        audit_entries=verify_chain(reader),
        documents=verify_documents(reader),
        tenants=len(list_tenants(reader)),
        row_sets=verify_rows(reader),
    )


def copy_tables(reader: Reader, writer: Writer) -> None:
    """Make every table of ``writer`` what it is in ``reader``."""
    for table in Table:
        writer.clear(table)
        for key, value in reader.scan(table):
            writer.put(table, key, value)


def write_backup(store: Store, secret: bytes, folder: Path, *, time: datetime) -> BackupManifest:
    """Write a backup into a new folder, restore it into a scratch folder and verify it there.

    A backup that fails leaves no folder behind, so a folder with a manifest is a whole one.
    Raises :class:`ControlError`.
    """
    if folder.exists():
        raise ControlError(f"{folder}: exists already; a backup goes into a new folder")
    draft = folder.with_name(f".{folder.name}.draft")
    try:
        shutil.rmtree(draft, ignore_errors=True)
        store.backup(draft)
        install_secret(draft, secret)
        with _opened(draft) as copy:
            generation, report = _inspect(copy)
        digests = {name: _digest(draft / name) for name in FILES}
        manifest = BackupManifest(BACKUP_VERSION, time, generation, report, digests)
        (draft / "lock.mdb").unlink(missing_ok=True)
        (draft / MANIFEST_FILE).touch(0o600)
        (draft / MANIFEST_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(manifest)) + b"\n")
        draft.rename(folder)
    except OSError as error:
        raise ControlError(f"{folder}: the backup could not be written: {error.strerror}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return manifest


def read_manifest(folder: Path) -> BackupManifest:
    """Check the files of a backup and return its manifest; raises :class:`ControlError` if it is not
    whole.
    """
    try:
        manifest = msgspec.json.decode((folder / MANIFEST_FILE).read_bytes(), type=BackupManifest)
    except OSError as error:
        raise ControlError(f"{folder}: not a backup: {MANIFEST_FILE}: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise ControlError(f"{folder}: {MANIFEST_FILE}: {error}") from error
    if manifest.v != BACKUP_VERSION:
        raise ControlError(f"{folder}: a backup of version {manifest.v}; this recsys reads {BACKUP_VERSION}")
    # LMDB maps its file and trusts it, so nothing opens one that is not the one written.
    for name in FILES:
        if not (folder / name).is_file():
            raise ControlError(f"{folder}: {name} is missing from the backup")
        if _digest(folder / name) != manifest.sha256.get(name):
            raise ControlError(f"{folder / name}: damaged: not the file that {MANIFEST_FILE} speaks of")
    return manifest


def restore_backup(
    folder: Path,
    open_store: Callable[[], Store],
    secret_folder: Path,
    *,
    replace: bool,
    actor: str,
    time: datetime,
) -> BackupManifest:
    """Make a store what it was at a backup, in one transaction with an audit entry that says so.

    A store that holds something, or another secret, is left alone unless ``replace`` is given. Services that
    run on the store see the change as any other. Raises :class:`ControlError`.
    """
    manifest = read_manifest(folder)
    secret = load_secret(folder)
    held = secret_folder / SECRET_FILE
    if not replace and held.exists() and held.read_bytes() != secret:
        raise ControlError(
            f"{held}: another secret is here; it would be lost: add --replace to restore all the same"
        )
    with _opened(folder) as source:
        _inspect(source)

        def change(writer: Writer) -> None:
            generation = read_head(writer).generation
            if generation and not replace:
                raise ControlError(
                    f"the store holds something already (generation {generation}): "
                    "add --replace to restore over it"
                )
            with source.read() as reader:
                copy_tables(reader, writer)
            append_entry(
                writer,
                time=time,
                tenant="",
                actor=actor,
                action="store.restore",
                subject="store",
                before=str(generation),
                after=str(manifest.generation),
            )

        store = open_store()
        try:
            store.update(change)
            install_secret(secret_folder, secret)
        finally:
            store.close()
    return manifest


@contextmanager
def _opened(folder: Path) -> Iterator[LmdbStore]:
    """Restore a backup into a scratch folder, and open it there: opening may write, and a backup is kept
    as is.
    """
    with TemporaryDirectory(prefix="recsys-restore-") as scratch:
        shutil.copyfile(folder / "data.mdb", Path(scratch) / "data.mdb")
        store = LmdbStore(Path(scratch))
        try:
            yield store
        finally:
            store.close()


def _inspect(store: Store) -> tuple[int, StoreReport]:
    with store.read() as reader:
        return read_head(reader).generation, verify_store(reader)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
