"""Keeps what a worker serves up to date: one thread follows the store, one the registry.

Nothing here runs on the request path. A change compiles the tenants that it touches beside those that serve,
and then replaces the table of tenants by one assignment.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Protocol, TypeVar

import structlog
from msgspec import Struct
from msgspec.structs import replace

from recsys.contracts.documents import InvalidDocument
from recsys.contracts.errors import RecsysError
from recsys.control import audit, tenants
from recsys.control.store import CorruptStoreError, NotFoundError, Reader, read_head
from recsys.service.compiler import BUILT_IN, compile_tenant, read_documents
from recsys.service.releases import Releases, SurfaceKey
from recsys.service.state import State
from recsys.service.tenants import ServedTenant, TenantDocuments

T = TypeVar("T")

STORE_INTERVAL_S = 0.1
FOLDER_INTERVAL_S = 0.2
OBJECT_STORE_INTERVAL_S = 5.0
INVALIDATE_ACTION = "cache.invalidate"
"""The audit action after which every worker compiles a tenant anew."""


class Observer(Protocol):
    """Is told what the watcher has done."""

    def swapped(self, state: State) -> None:
        """The table of tenants was replaced."""

    def failed(self, tenant: str, surface: str) -> None:
        """A surface could not be compiled or fetched; what served it goes on."""


class Watcher:
    """Compiles the tenants of a :class:`State`, once with :meth:`refresh`, then by two threads."""

    def __init__(self, state: State, releases: Releases) -> None:
        self._state = state
        self._releases = releases
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._moved = threading.Event()
        self._threads: list[threading.Thread] = []
        self._log = structlog.get_logger()
        self.observer: Observer | None = None
        self.store_error: str | None = None
        """Why the store could not be read, or ``None`` when it could the latest time."""

    @property
    def registry_error(self) -> str | None:
        """Why the registry could not be asked, or ``None``."""
        return self._releases.error

    def refresh(self) -> None:
        """Bring everything up to date now; raises ``ControlError`` when the store cannot be read."""
        if not self._state.tenants:
            self._releases.recall()
        self._releases.poll()
        self._compile_changes(all_tenants=True)

    def poke(self) -> None:
        """Look at the pointers now, rather than at the next interval."""
        self._moved.set()

    def start(self) -> None:
        """Start to follow the store and the registry."""
        for name, loop in (
            ("store-watcher", self._follow_store),
            ("registry-watcher", self._follow_registry),
        ):
            thread = threading.Thread(target=loop, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """Stop both threads and wait for them."""
        self._stop.set()
        self._moved.set()
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def _follow_store(self) -> None:
        while not self._stop.wait(STORE_INTERVAL_S):
            self._attempt(self._note_generation)
            if self._state.store_generation != self._state.generation:
                self._attempt(self._compile_touched)

    def _follow_registry(self) -> None:
        while not self._stop.is_set():
            interval_s = FOLDER_INTERVAL_S
            if not self._releases.is_local:
                # Many hosts that were started together must not ask together.
                interval_s = OBJECT_STORE_INTERVAL_S * random.uniform(0.8, 1.2)  # noqa: S311
            self._moved.wait(interval_s)
            self._moved.clear()
            if not self._stop.is_set():
                self._attempt(self._follow_pointers)

    def _note_generation(self) -> None:
        """Let credentials be checked again at once, however long the compilation takes."""
        self._state.store_generation = self._state.plane.generation()

    def _compile_touched(self) -> None:
        self._compile_changes(all_tenants=False)

    def _follow_pointers(self) -> None:
        if self._releases.poll():
            self._compile_changes(all_tenants=True)

    def _attempt(self, work: Callable[[], None]) -> None:
        try:
            work()
        except RecsysError as error:
            if self.store_error is None:
                self._log.error("the control store cannot be read", error=str(error))
            self.store_error = str(error)
        except Exception as error:  # noqa: BLE001  the thread must outlive a defect, and its log names it
            self._log.exception("what changed could not be compiled")
            self.store_error = f"{type(error).__name__}: see the log"
        else:
            self.store_error = None

    def _compile_changes(self, *, all_tenants: bool) -> None:
        """Compile the tenants that the entries since the last time name, or all whose versions moved."""
        with self._lock:
            state = self._state
            with state.plane.read() as reader:
                generation = read_head(reader).generation
                if generation == state.generation and not all_tenants:
                    return
                changes = audit.entries_after(reader, state.generation)
                anew = {entry.tenant for entry in changes if entry.action == INVALIDATE_ACTION}
                touched = {entry.tenant for entry in changes}
                chosen = tenants.list_tenants(reader) if all_tenants else _find(reader, touched)
                found = [_read(reader, one, state.tenants.get(one.tenant_id)) for one in chosen]
            served = dict(state.tenants)
            for one in found:
                tenant_id = one.tenant.tenant_id
                served[tenant_id] = self._compile(one, served.get(tenant_id), anew=tenant_id in anew)
            state.tenants = served
            state.generation = generation
            state.store_generation = max(state.store_generation, generation)
        if self.observer is not None:
            self.observer.swapped(state)

    def _compile(self, found: _Found, before: ServedTenant | None, *, anew: bool) -> ServedTenant:
        tenant_id = found.tenant.tenant_id
        releases = _of_tenant(self._releases.current, tenant_id)
        failures = _of_tenant(self._releases.failures, tenant_id)
        if found.failure is None:
            after = compile_tenant(found.tenant, found.documents, releases, failures, before, anew=anew)
        else:  # a tenant that never had documents that can be used has nothing to rank by
            usable = {} if before is None else releases
            after = compile_tenant(found.tenant, found.documents, usable, failures, before, anew=anew)
            broken = dict.fromkeys(releases, found.failure)
            after = replace(after, failures=dict(after.failures) | broken)
        for surface, reason in after.failures.items():
            if before is None or before.failures.get(surface) != reason:
                self._log.error(
                    "a surface keeps what it had", tenant=tenant_id, surface=surface, reason=reason
                )
                if self.observer is not None:
                    self.observer.failed(tenant_id, surface)
        return after


class _Found(Struct, frozen=True):
    """What the store says of a tenant; ``failure`` says why its newest documents cannot be used."""

    tenant: tenants.Tenant
    documents: TenantDocuments
    failure: str | None


def _find(reader: Reader, tenant_ids: set[str]) -> list[tenants.Tenant]:
    known: list[tenants.Tenant] = []
    for tenant_id in sorted(tenant_ids):
        with suppress(NotFoundError):  # an entry may be about the installation
            known.append(tenants.find_tenant(reader, tenant_id))
    return known


def _read(reader: Reader, tenant: tenants.Tenant, before: ServedTenant | None) -> _Found:
    documents = BUILT_IN if before is None else before.documents
    try:
        return _Found(tenant, read_documents(reader, tenant.tenant_id, documents), None)
    except (InvalidDocument, CorruptStoreError) as error:
        return _Found(tenant, documents, str(error))


def _of_tenant(surfaces: Mapping[SurfaceKey, T], tenant_id: str) -> dict[str, T]:
    return {surface: value for (tenant, surface), value in surfaces.items() if tenant == tenant_id}
