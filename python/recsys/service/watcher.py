"""Keeps what a worker serves up to date: one thread follows the store, one the registry.

Nothing here runs on the request path. A change compiles the tenants that it touches beside those that serve,
and then replaces the table of tenants by one assignment.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol, TypeVar

import structlog
from msgspec.structs import replace

from recsys.contracts.documents import InvalidDocument
from recsys.contracts.errors import RecsysError
from recsys.control import audit
from recsys.control.serving_view import TenantView, load_serving_view, save_serving_view
from recsys.control.store import StoreUnavailableError
from recsys.service.arm_compiler import PastVersions, with_experiments
from recsys.service.compiler import BUILT_IN, Release, compile_tenant, read_documents
from recsys.service.fresh_files import FreshFiles
from recsys.service.releases import Releases, SurfaceKey
from recsys.service.state import State
from recsys.service.tenants import ServedTenant

T = TypeVar("T")

STORE_INTERVAL_S = 0.1
RETRY_INTERVAL_S = 1.0
FOLDER_INTERVAL_S = 0.2
OBJECT_STORE_INTERVAL_S = 5.0
INVALIDATE_ACTION = "cache.invalidate"
"""The audit action after which every worker compiles a tenant anew."""
MOVE_ACTIONS = ("release.", "manifest.")
"""How the audit actions begin after which a pointer may have moved: whoever moves one enters that last."""


class Observer(Protocol):
    """Is told what the watcher has done."""

    def swapped(self, state: State) -> None:
        """The table of tenants was replaced."""

    def failed(self, tenant: str, surface: str) -> None:
        """A surface could not be compiled or fetched; what served it goes on."""


class Watcher:
    """Compiles the tenants of a :class:`State`, once with :meth:`refresh`, then by two threads."""

    def __init__(
        self, state: State, releases: Releases, fresh: FreshFiles, kept_view: Path | None = None
    ) -> None:
        """``kept_view`` is where the view of a store that may be down is kept for the next start."""
        self._state = state
        self._releases = releases
        self._fresh = fresh
        self._kept_view = kept_view
        self._anew: set[str] = set()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._moved = threading.Event()
        self._threads: list[threading.Thread] = []
        self._log = structlog.get_logger()
        self._versions = PastVersions(state.plane, releases)
        self.observer: Observer | None = None
        self.store_error: str | None = None
        """Why the store could not be read, or ``None`` when it could the latest time."""

    @property
    def registry_error(self) -> str | None:
        """Why the registry could not be asked, or ``None``."""
        return self._releases.error

    def refresh(self) -> None:
        """Bring everything up to date now.

        Raises ``ControlError`` when the store cannot be read and no earlier view of it is kept.
        """
        self._read_store()
        if not self._state.tenants:
            self._releases.recall()
        self._releases.poll()
        self._fresh.poll()
        self._compile()

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
        while not self._stop.is_set():
            self.store_error = self._attempt(self._take_change)
            if self.store_error is not None:
                self._stop.wait(RETRY_INTERVAL_S)

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

    def _take_change(self) -> None:
        state = self._state
        known = state.plane.wait_for_change(state.view.generation, STORE_INTERVAL_S)
        state.key_uses.write(state.plane)
        if known != state.view.generation:
            self._read_store()
        if state.view.generation != state.generation:
            self._compile()

    def _follow_pointers(self) -> None:
        has_moved = self._releases.poll()
        if self._fresh.poll() or has_moved:
            self._compile()

    def _attempt(self, work: Callable[[], None]) -> str | None:
        """Do some work and return what went wrong, which is logged once, when it begins to."""
        trouble = None
        try:
            work()
        except RecsysError as error:
            trouble = str(error)
            if self.store_error is None:
                self._log.error("what is served cannot be brought up to date", error=trouble)
        except Exception as error:  # noqa: BLE001  the thread must outlive a defect, and its log names it
            self._log.exception("what is served cannot be brought up to date")
            trouble = f"{type(error).__name__}: see the log"
        return trouble

    def _read_store(self) -> None:
        """Read the store, and let credentials be checked against it at once, before anything is compiled."""
        state = self._state
        try:
            with state.plane.read() as reader:
                changes = audit.entries_after(reader, state.view.generation)
            view = state.plane.serving_view()
        except StoreUnavailableError:
            is_first = not state.view.generation
            kept = load_serving_view(self._kept_view) if is_first and self._kept_view is not None else None
            if kept is None:
                raise
            state.view = kept
            return
        self._anew |= {entry.tenant for entry in changes if entry.action == INVALIDATE_ACTION}
        if any(entry.action.startswith(MOVE_ACTIONS) for entry in changes):
            self.poke()
        state.view = view
        if self._kept_view is not None:
            save_serving_view(view, self._kept_view)

    def _compile(self) -> None:
        """Compile every tenant whose documents, state or releases are not those that are served."""
        with self._lock:
            state, view, before = self._state, self._state.view, self._state.tenants
            anew, self._anew = self._anew, set()
            releases, failures = _by_tenant(self._releases.current), _by_tenant(self._releases.failures)
            state.tenants = {
                name: self._compile_tenant(
                    held, releases.get(name, {}), failures.get(name, {}), before.get(name), anew=name in anew
                )
                for name, held in view.tenants.items()
            }
            state.generation = view.generation
        if self.observer is not None:
            self.observer.swapped(state)

    def _compile_tenant(
        self,
        held: TenantView,
        releases: dict[str, Release],
        failures: dict[str, str],
        before: ServedTenant | None,
        *,
        anew: bool,
    ) -> ServedTenant:
        documents = BUILT_IN if before is None else before.documents
        broken: str | None = None
        try:
            documents = read_documents(held.documents, documents)
        except InvalidDocument as error:
            broken = f"documents: {error}"
        # A tenant that never had documents that can be used has nothing to rank by.
        usable = {} if broken is not None and before is None else releases
        after = compile_tenant(
            held.tenant, documents, usable, failures, before, anew=anew, find_fresh=self._fresh.find
        )
        experiments = held.documents.get("experiments")
        after = with_experiments(after, experiments, releases, self._versions, before, self._fresh.find)
        if broken is not None:
            after = replace(after, failures=dict(after.failures) | dict.fromkeys(releases, broken))
        for surface, reason in after.failures.items():
            if before is None or before.failures.get(surface) != reason:
                self._log.error(
                    "a surface keeps what it had", tenant=after.name, surface=surface, reason=reason
                )
                if self.observer is not None:
                    self.observer.failed(after.name, surface)
        return after


def _by_tenant(surfaces: Mapping[SurfaceKey, T]) -> dict[str, dict[str, T]]:
    found: dict[str, dict[str, T]] = {}
    for (tenant, surface), value in surfaces.items():
        found.setdefault(tenant, {})[surface] = value
    return found
