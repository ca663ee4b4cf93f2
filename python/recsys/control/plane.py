"""The control plane as its callers see it: each method is one transaction of the store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from msgspec import Struct

from recsys.control import audit, keys, tenants, versions
from recsys.control.lmdb_store import LmdbStore
from recsys.control.principals import Principal, authenticate_key
from recsys.control.store import Reader, Store, Writer

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Return the time of this host, in UTC."""
    return datetime.now(UTC)


class StoreReport(Struct, frozen=True):
    """What a verification counted."""

    audit_entries: int
    documents: int
    tenants: int


class ControlPlane:
    """Tenants, keys, documents and audit over a :class:`Store`. Safe to share between threads.

    Methods raise :class:`~recsys.control.store.ControlError` or its kinds, and ``InvalidDocument`` for a
    bad document.
    """

    def __init__(self, store: Store, secret: bytes, clock: Clock = utc_now) -> None:
        self._store = store
        self._secret = secret
        self._clock = clock

    @classmethod
    def open(cls, folder: Path) -> ControlPlane:
        """Open or create the control plane of a folder; once in each process, after forking."""
        store = LmdbStore(folder)
        return cls(store, keys.load_secret(folder))

    def close(self) -> None:
        """Release the store."""
        self._store.close()

    def read(self) -> AbstractContextManager[Reader]:
        """Open one view for several reads that must agree, with the functions of this package."""
        return self._store.read()

    def generation(self) -> int:
        """Return the number of changes so far; compiled snapshots are stale when it moves."""
        with self._store.read() as reader:
            return audit.generation(reader)

    def create_tenant(self, tenant_id: str, *, actor: str) -> tenants.Tenant:
        """Create an active tenant."""
        return self._store.update(
            lambda writer: tenants.create_tenant(writer, tenant_id, actor=actor, time=self._clock())
        )

    def set_tenant_state(self, tenant_id: str, state: tenants.TenantState, *, actor: str) -> tenants.Tenant:
        """Suspend or resume a tenant."""
        return self._store.update(
            lambda writer: tenants.set_tenant_state(writer, tenant_id, state, actor=actor, time=self._clock())
        )

    def tenant(self, tenant_id: str) -> tenants.Tenant:
        """Return a tenant."""
        with self._store.read() as reader:
            return tenants.find_tenant(reader, tenant_id)

    def tenants(self) -> list[tenants.Tenant]:
        """Return all tenants by id."""
        with self._store.read() as reader:
            return tenants.list_tenants(reader)

    def put(
        self,
        tenant_id: str,
        kind: versions.DocumentKind,
        data: bytes,
        *,
        author: str,
        comment: str = "",
        expected: str | None = None,
    ) -> versions.Revision:
        """Check a JSON document and make it current; with ``expected``, only over that version."""
        canonical = versions.check_document(kind, data)
        return self._store.update(
            lambda writer: versions.put_document(
                writer,
                tenant_id,
                kind,
                canonical,
                author=author,
                comment=comment,
                time=self._clock(),
                expected=expected,
            )
        )

    def edit(
        self,
        tenant_id: str,
        kind: versions.DocumentKind,
        change: Callable[[bytes | None], bytes],
        *,
        author: str,
        comment: str = "",
    ) -> versions.Revision:
        """Put what ``change`` makes of the current document (``None`` without one), in one transaction."""

        def put(writer: Writer) -> versions.Revision:
            has_one = versions.current_revision(writer, tenant_id, kind) is not None
            data = versions.current_document(writer, tenant_id, kind).data if has_one else None
            return versions.put_document(
                writer,
                tenant_id,
                kind,
                versions.check_document(kind, change(data)),
                author=author,
                comment=comment,
                time=self._clock(),
            )

        return self._store.update(put)

    def roll_back(
        self,
        tenant_id: str,
        kind: versions.DocumentKind,
        *,
        author: str,
        comment: str = "",
        to: str | None = None,
        expected: str | None = None,
    ) -> versions.Revision:
        """Make the version before current again, or the version ``to``."""
        return self._store.update(
            lambda writer: versions.roll_back(
                writer,
                tenant_id,
                kind,
                author=author,
                comment=comment,
                time=self._clock(),
                to=to,
                expected=expected,
            )
        )

    def document(
        self, tenant_id: str, kind: versions.DocumentKind, version: str | None = None
    ) -> versions.StoredDocument:
        """Return the current document, or that of a version."""
        with self._store.read() as reader:
            if version is None:
                return versions.current_document(reader, tenant_id, kind)
            return versions.document_of_version(reader, tenant_id, kind, version)

    def history(
        self, tenant_id: str, kind: versions.DocumentKind, limit: int = 100
    ) -> list[versions.Revision]:
        """Return the newest revisions, newest first."""
        with self._store.read() as reader:
            return list(islice(versions.list_revisions(reader, tenant_id, kind), limit))

    def issue_key(
        self,
        tenant_id: str,
        roles: tuple[keys.Role, ...],
        *,
        actor: str,
        name: str = "",
        expires_at: datetime | None = None,
    ) -> tuple[keys.ApiKey, str]:
        """Issue an API key; the text returned is shown this once."""
        return self._store.update(
            lambda writer: keys.issue_key(
                writer,
                self._secret,
                tenant_id,
                roles,
                name=name,
                expires_at=expires_at,
                actor=actor,
                time=self._clock(),
            )
        )

    def revoke_key(self, key_id: str, *, actor: str) -> keys.ApiKey:
        """Revoke an API key."""
        return self._store.update(
            lambda writer: keys.revoke_key(writer, key_id, actor=actor, time=self._clock())
        )

    def keys(self, tenant_id: str) -> list[keys.ApiKey]:
        """Return the keys of a tenant."""
        with self._store.read() as reader:
            tenants.find_tenant(reader, tenant_id)
            return keys.list_keys(reader, tenant_id)

    def authenticate(self, text: str) -> Principal | None:
        """Return the principal of an API key, or ``None``; a revocation counts from its commit on."""
        with self._store.read() as reader:
            return authenticate_key(reader, self._secret, text, self._clock())

    def record_key_uses(self, uses: Mapping[str, datetime]) -> None:
        """Remember when keys were last used. It writes to disk, so call it off the request path, now and
        then."""

        def change(writer: Writer) -> None:
            for key_id, time in uses.items():
                keys.record_use(writer, key_id, time)

        self._store.update(change)

    def audit_entries(
        self,
        tenant_id: str,
        *,
        limit: int = 100,
        before: datetime | None = None,
        before_id: int | None = None,
    ) -> list[audit.AuditEntry]:
        """Return the newest entries of a tenant, newest first, with numbers below ``before_id`` and times
        before ``before`` if given."""
        with self._store.read() as reader:
            tenants.find_tenant(reader, tenant_id)
            entries = (
                entry
                for entry in audit.read_entries(reader)
                if entry.tenant == tenant_id
                and (before_id is None or entry.number < before_id)
                and (before is None or entry.time < before)
            )
            return list(islice(entries, limit))

    def record_change(
        self,
        tenant_id: str,
        *,
        action: str,
        subject: str,
        before: str | None,
        after: str | None,
        actor: str,
        comment: str = "",
    ) -> audit.AuditEntry:
        """Add an entry to the audit trail for a change of a tenant that happened outside the store."""

        def change(writer: Writer) -> audit.AuditEntry:
            tenants.find_tenant(writer, tenant_id)
            return audit.append_entry(
                writer,
                time=self._clock(),
                tenant=tenant_id,
                actor=actor,
                action=action,
                subject=subject,
                before=before,
                after=after,
                comment=comment,
            )

        return self._store.update(change)

    def verify(self) -> StoreReport:
        """Check the audit chain and every document, revision and pointer; raises ``CorruptStoreError``."""
        with self._store.read() as reader:
            return StoreReport(
                audit_entries=audit.verify_chain(reader),
                documents=versions.verify_documents(reader),
                tenants=len(tenants.list_tenants(reader)),
            )

    def backup(self, folder: Path) -> None:
        """Write a consistent copy of the store into a new folder. Keep the secret file of the keys beside
        it."""
        self._store.backup(folder)
