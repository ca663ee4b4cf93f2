"""API keys: shown once when issued, stored as a keyed hash, with roles, expiry and revocation.

A key reads ``rsk_<key id>_<secret>``. The store holds the HMAC-SHA256 of the whole key under a secret of the
installation that lies in a file of its own, so a stolen copy of the store checks no guess.
"""

from __future__ import annotations

import hmac
import os
import secrets
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from recsys.control.audit import append_entry
from recsys.control.store import ControlError, NotFoundError, Reader, Table, Writer
from recsys.control.tenants import find_tenant

Role = Literal["viewer", "operator", "admin", "service"]
SECRET_FILE = "api-keys.secret"  # noqa: S105 - a file name
SECRET_BYTES = 32
KEY_PREFIX = "rsk"
_MARK_KEY = b"secret"


class ApiKey(Struct, frozen=True):
    """What the store knows of a key. Times have a zone; ``expires_at`` is exclusive."""

    key_id: str
    tenant_id: str
    roles: tuple[Role, ...]
    digest: str
    created_at: datetime
    created_by: str
    name: str = ""
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    def is_usable(self, now: datetime) -> bool:
        """Whether the key is neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


def load_secret(folder: Path) -> bytes:
    """Return the installation's secret, made on first use, readable by the owner alone.

    Raises :class:`ControlError` when the file cannot be read or written, or is too short to be one.
    """
    path = folder / SECRET_FILE
    try:
        if not path.exists():
            _create_secret(path)
        secret = path.read_bytes()
    except OSError as error:
        raise ControlError(f"{path}: cannot be used: {error.strerror}") from error
    if len(secret) < SECRET_BYTES:
        raise ControlError(f"{path}: {len(secret)} bytes; a secret has at least {SECRET_BYTES}")
    return secret


def install_secret(folder: Path, secret: bytes) -> None:
    """Put a secret in the place of the one that is there, if any; raises :class:`ControlError`."""
    path = folder / SECRET_FILE
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write_secret(draft, secret)
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise ControlError(f"{path}: cannot be written: {error.strerror}") from error


def secret_mark(secret: bytes) -> bytes:
    """Return what a store remembers of its secret, to tell another one from it."""
    return hmac.digest(secret, b"recsys api keys", "sha256")


def check_secret(reader: Reader, secret: bytes) -> None:
    """Raise :class:`ControlError` unless the keys of the store were issued under this secret."""
    mark = reader.get(Table.HEADS, _MARK_KEY)
    if mark is not None and not hmac.compare_digest(mark, secret_mark(secret)):
        raise ControlError(
            f"{SECRET_FILE} is not the secret that the store's API keys were issued under: "
            "copy the file from the host, or the backup, where it lies"
        )


def issue_key(
    writer: Writer,
    secret: bytes,
    tenant_id: str,
    roles: tuple[Role, ...],
    *,
    name: str = "",
    expires_at: datetime | None = None,
    actor: str,
    time: datetime,
) -> tuple[ApiKey, str]:
    """Store a new key and return it with its text, which nothing can show again.

    Raises :class:`NotFoundError` for an unknown tenant, :class:`ControlError` without a role or with a
    past expiry.
    """
    find_tenant(writer, tenant_id)
    check_secret(writer, secret)
    if not roles:
        raise ControlError("an API key needs at least one role")
    if expires_at is not None and expires_at <= time:
        raise ControlError("expires_at lies in the past")
    key_id = secrets.token_hex(8)
    text = f"{KEY_PREFIX}_{key_id}_{secrets.token_hex(SECRET_BYTES)}"
    key = ApiKey(key_id, tenant_id, roles, _digest(secret, text), time, actor, name, expires_at)
    writer.put(Table.HEADS, _MARK_KEY, secret_mark(secret))
    _write(writer, key, "key.issue", before=None, after="usable", actor=actor, time=time)
    return key, text


def revoke_key(writer: Writer, key_id: str, *, actor: str, time: datetime) -> ApiKey:
    """Revoke a key and return it; a revoked one stays as it is. Raises :class:`NotFoundError`."""
    key = find_key(writer, key_id)
    if key is None:
        raise NotFoundError(f"API key {key_id!r} does not exist")
    if key.revoked_at is not None:
        return key
    revoked = msgspec.structs.replace(key, revoked_at=time)
    _write(writer, revoked, "key.revoke", before="usable", after="revoked", actor=actor, time=time)
    return revoked


def find_key(reader: Reader, key_id: str) -> ApiKey | None:
    """Return a key by its id, or ``None``."""
    value = reader.get(Table.KEYS, key_id.encode()) if key_id else None
    return None if value is None else msgspec.json.decode(value, type=ApiKey)


def list_keys(reader: Reader, tenant_id: str) -> list[ApiKey]:
    """Return the keys of a tenant, by id."""
    keys = (msgspec.json.decode(value, type=ApiKey) for _, value in reader.scan(Table.KEYS))
    return [key for key in keys if key.tenant_id == tenant_id]


def key_id_of(text: str) -> str:
    """Return the key id that a key's text names; empty when it is no key of ours."""
    prefix, _, rest = text.partition("_")
    key_id = rest.partition("_")[0]
    return key_id if prefix == KEY_PREFIX and len(key_id) == 16 and text.isascii() else ""


def match_key(key: ApiKey | None, secret: bytes, text: str, now: datetime) -> ApiKey | None:
    """Return ``key`` if this is its text and it is usable, else ``None``; the comparison takes the same time
    wherever it fails.
    """
    if key is None or not hmac.compare_digest(key.digest, _digest(secret, text)):
        return None
    return key if key.is_usable(now) else None


def record_use(writer: Writer, key_id: str, time: datetime) -> None:
    """Remember when a key was last used. This is no change: it has no audit entry and no generation."""
    writer.put(Table.KEY_USES, key_id.encode(), msgspec.json.encode(time))


def last_use(reader: Reader, key_id: str) -> datetime | None:
    """Return when a key was last used, as far as it was recorded."""
    value = reader.get(Table.KEY_USES, key_id.encode())
    return None if value is None else msgspec.json.decode(value, type=datetime)


def _digest(secret: bytes, text: str) -> str:
    return hmac.digest(secret, text.encode(), "sha256").hex()


def _create_secret(path: Path) -> None:
    """Write a secret under a name of its own and link it into place, so that of several makers one wins."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        _write_secret(draft, secrets.token_bytes(SECRET_BYTES))
        with suppress(FileExistsError):
            path.hardlink_to(draft)
    finally:
        draft.unlink(missing_ok=True)


def _write_secret(path: Path, secret: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secret)
        file.flush()
        os.fsync(file.fileno())


def _write(
    writer: Writer, key: ApiKey, action: str, *, before: str | None, after: str, actor: str, time: datetime
) -> None:
    writer.put(Table.KEYS, key.key_id.encode(), msgspec.json.encode(key))
    append_entry(
        writer,
        time=time,
        tenant=key.tenant_id,
        actor=actor,
        action=action,
        subject=f"key {key.key_id}",
        before=before,
        after=after,
    )
