"""What serving needs of the control store, read at one moment: tenants, keys, and current documents.

A service answers from this view and never asks the store during a request, so a store that is down stops
changes and not serving. The view can be kept in a file, for a worker that starts while the store is down.
"""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from recsys.control.keys import ApiKey, check_secret, key_id_of, match_key
from recsys.control.principals import Principal, principal_of
from recsys.control.store import ControlError, Reader, Table, read_head
from recsys.control.tenants import Tenant, list_tenants
from recsys.control.versions import KINDS, DocumentKind, StoredDocument, current_document, current_revision


class TenantView(Struct, frozen=True):
    """A tenant with its current documents; a kind is missing when none was put."""

    tenant: Tenant
    documents: dict[DocumentKind, StoredDocument]


class ServingView(Struct, frozen=True):
    """All of one ``generation``; ``keys`` by their id, revoked and expired ones too."""

    generation: int
    tenants: dict[str, TenantView]
    keys: dict[str, ApiKey]

    def authenticate(self, secret: bytes, text: str, now: datetime) -> Principal | None:
        """Return the principal of an API key, or ``None`` when it is unknown, revoked or expired."""
        key = match_key(self.keys.get(key_id_of(text)), secret, text, now)
        held = None if key is None else self.tenants.get(key.tenant_id)
        return None if key is None or held is None else principal_of(key, held.tenant)


def read_serving_view(reader: Reader, secret: bytes) -> ServingView:
    """Return the view; raises :class:`ControlError` when the keys were issued under another secret."""
    check_secret(reader, secret)
    keys = (msgspec.json.decode(value, type=ApiKey) for _, value in reader.scan(Table.KEYS))
    return ServingView(
        generation=read_head(reader).generation,
        tenants={tenant.tenant_id: _tenant_view(reader, tenant) for tenant in list_tenants(reader)},
        keys={key.key_id: key for key in keys},
    )


def save_serving_view(view: ServingView, path: Path) -> None:
    """Keep a view in a file for the owner alone, in one step; raises :class:`ControlError`."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(view))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise ControlError(f"{path}: cannot be written: {error.strerror}") from error


def load_serving_view(path: Path) -> ServingView | None:
    """Return the view kept in a file, ``None`` without one; raises :class:`ControlError` for a broken one."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=ServingView)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ControlError(f"{path}: cannot be read: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise ControlError(f"{path}: not a view of the control store: {error}") from error


def _tenant_view(reader: Reader, tenant: Tenant) -> TenantView:
    documents = {
        kind: current_document(reader, tenant.tenant_id, kind)
        for kind in KINDS
        if current_revision(reader, tenant.tenant_id, kind) is not None
    }
    return TenantView(tenant, documents)
