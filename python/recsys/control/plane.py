"""The control plane as its callers see it: each method is one transaction of the store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from recsys.control import audit, backup, keys, tenants, versions
from recsys.control.locations import StoreLocation
from recsys.control.principals import Principal, authenticate_key
from recsys.control.serving_view import ServingView, read_serving_view
from recsys.control.store import Reader, Store, T, Writer, read_head

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Return the time of this host, in UTC."""
    return datetime.now(UTC)


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
    def open(cls, where: Path | StoreLocation) -> ControlPlane:
        """Open or create the control plane of a folder or a database; once in each process, after forking.

        A database may be down: then each method raises ``StoreUnavailableError`` until it is up.
        """
        location = where if isinstance(where, StoreLocation) else StoreLocation(where)
        return cls(location.open_store(), keys.load_secret(location.secret_folder))

    def close(self) -> None:
        """Release the store."""
        self._store.close()

    def read(self) -> AbstractContextManager[Reader]:
        """Open one view for several reads that must agree, with the functions of this package."""
        return self._store.read()

    def update(self, change: Callable[[Writer], T]) -> T:
        """Run a change of several writes in one transaction; it adds its own audit entry.

        ``change`` may run more than once; see :class:`~recsys.control.store.Store`.
        """
        return self._store.update(change)

    def now(self) -> datetime:
        """Return the time by the clock that changes are dated by."""
        return self._clock()

    def generation(self) -> int:
        """Return the number of changes so far; compiled snapshots are stale when it moves."""
        with self._store.read() as reader:
            return read_head(reader).generation

    def wait_for_change(self, known: int, timeout_s: float) -> int:
        """Return the generation, as soon as it is another than ``known`` or when the time is over.

        Cheap enough to be called all the time, by one thread of a process. Raises ``StoreUnavailableError``
        when the store cannot be reached: keep serving what is there, and call again.
        """
        return self._store.wait_for_change(known, timeout_s)

    def serving_view(self) -> ServingView:
        """Return what serving needs of the store, all of one generation."""
        with self._store.read() as reader:
            return read_serving_view(reader, self._secret)

    def try_lock(self, name: str) -> AbstractContextManager[bool]:
        """Hold a lock among all processes on the store; see :meth:`recsys.control.store.Store.try_lock`."""
        return self._store.try_lock(name)

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

    def authenticate(self, text: str, view: ServingView | None = None) -> Principal | None:
        """Return the principal of an API key, or ``None``; a revocation counts from its commit on.

        With ``view`` the store is not asked: what the view has counts.
        """
        if view is not None:
            return view.authenticate(self._secret, text, self._clock())
        with self._store.read() as reader:
            return authenticate_key(reader, self._secret, text, self._clock())

    def record_key_uses(self, uses: Mapping[str, datetime]) -> None:
        """Remember when keys were last used, in one transaction; see
        :class:`~recsys.control.key_uses.KeyUses`.
        """

        def change(writer: Writer) -> None:
            for key_id, time in uses.items():
                keys.record_use(writer, key_id, time)

        self._store.update(change)

    def record_change(
        self,
        tenant_id: str,
        *,
        actor: str,
        action: str,
        subject: str,
        before: str | None,
        after: str | None,
        comment: str = "",
    ) -> audit.AuditEntry:
        """Enter into the audit trail a change that was made elsewhere, such as a release in a registry."""
        return self._store.update(
            lambda writer: audit.append_entry(
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
        )

    def audit_entries(
        self,
        tenant_id: str,
        *,
        limit: int = 100,
        before: datetime | None = None,
        before_id: int | None = None,
    ) -> list[audit.AuditEntry]:
        """Return the newest entries of a tenant, newest first.

        ``before_id`` is the number of the last entry of the page before; ``before`` (with a zone) its
        time, or any other. Given both, entries of just that time count too.
        """
        with self._store.read() as reader:
            entries = audit.tenant_entries(reader, tenant_id, before=before, before_id=before_id)
            page = list(islice(entries, limit))
            if not page:
                tenants.find_tenant(reader, tenant_id)
            return page

    def verify(self) -> backup.StoreReport:
        """Check the audit chain, every document, revision, pointer and row; raises ``CorruptStoreError``."""
        with self._store.read() as reader:
            return backup.verify_store(reader)

    def backup(self, folder: Path) -> backup.BackupManifest:
        """Write a verified copy of the store, and the secret of its keys, into a new folder."""
        return backup.write_backup(self._store, self._secret, folder, time=self._clock())
