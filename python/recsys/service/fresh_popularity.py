"""Keeps popularity fresh, in the process that starts the workers and answers no request.

It follows the outcome log of this host. For every surface that asks for it, and every release and config that
serve there (of arms too), it writes an artifact now and then, which workers take up as they do a release.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from multiprocessing.synchronize import Event
from pathlib import Path

import structlog
from msgspec import Struct

from recsys._native import Catalog, Signal
from recsys.artifacts.cache import ArtifactCache
from recsys.artifacts.registry import open_registry
from recsys.contracts.config import TenantConfig, fresh_popularity_of, parse_config
from recsys.contracts.errors import RecsysError
from recsys.contracts.experiments import Arm, parse_experiments
from recsys.contracts.fresh_popularity import FreshPopularity
from recsys.control import audit
from recsys.control.plane import ControlPlane
from recsys.control.store import read_head
from recsys.control.versions import StoredDocument
from recsys.eventlog.outcome_window import OutcomeWindow
from recsys.ranking.fresh_popularity import count_fresh, merge_popularity, window_end_s
from recsys.ranking.snapshot import CATALOG
from recsys.service.compiler import Release
from recsys.service.fresh_files import FreshFiles, FreshPointer, Place, fresh_key
from recsys.service.loading import Sources
from recsys.service.releases import Releases

INTERVAL_S = 1.0
RETRY_INTERVAL_S = 5.0
_SET_BACK_S = 5.0
"""More than a clock that is merely corrected goes back."""
_STALE_AFTER = 10
"""Refreshes that may be missed before what is there counts no more."""

POPULARITY = "popularity"


def follow_outcomes(plane: ControlPlane, sources: Sources, stopping: Event) -> None:
    """Keep popularity fresh until ``stopping``."""
    log = structlog.get_logger()
    cache = ArtifactCache(sources.data_dir / "cache" / "artifacts", sources.cache_bytes)
    refresher = FreshPopularityRefresher(
        plane,
        Releases(open_registry(sources.registry_url), cache),
        FreshFiles(sources.fresh_folder),
        sources.data_dir / "logs",
    )
    last_error = ""
    while not stopping.wait(INTERVAL_S):
        try:
            refresher.step()
            last_error = ""
        except (RecsysError, OSError) as error:
            if str(error) != last_error:
                log.error("popularity is not refreshed", error=str(error))  # noqa: TRY400  told in a line
            last_error = str(error)
            stopping.wait(RETRY_INTERVAL_S)
        except Exception:
            log.exception("popularity is not refreshed")
            stopping.wait(RETRY_INTERVAL_S)


class _Wanted(Struct, frozen=True):
    """What serves a surface: a config, and the release that is current or one that an arm names."""

    tenant: str
    surface: str
    config: TenantConfig
    settings: FreshPopularity
    manifest_version: str | None


class FreshPopularityRefresher:
    """Writes what is due at each :meth:`step`; used by one thread."""

    def __init__(
        self,
        plane: ControlPlane,
        releases: Releases,
        files: FreshFiles,
        logs: Path,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._plane = plane
        self._releases = releases
        self._files = files
        self._logs = logs
        self._clock = clock
        self._generation = -1
        self._wanted: list[_Wanted] = []
        self._window: OutcomeWindow | None = None
        self._followed: tuple[frozenset[str], float] = (frozenset(), 0.0)
        self._due_s: dict[Place, float] = {}
        self._has_changed = False
        self._last_s = 0.0

    def step(self) -> None:
        """Follow the store, and write every artifact whose time has come."""
        with self._plane.read() as reader:
            has_changed = read_head(reader).generation != self._generation
        if has_changed:
            self._take_change()
        now_s = self._clock()
        if now_s < self._last_s - _SET_BACK_S:
            # What is due by the old time would wait for it to come again.
            self._window, self._due_s = None, {}
        self._last_s = now_s
        if not self._wanted or (not self._has_changed and now_s < min(self._due_s.values(), default=0.0)):
            return
        self._has_changed = False
        self._releases.poll()
        window = self._follow_logs()
        window.read()
        due_s: dict[Place, float] = {}
        is_whole = True
        for one in self._wanted:
            try:
                self._refresh(one, window, now_s, due_s)
            except RecsysError as error:
                is_whole = False
                # What a worker cannot fetch either, it tells; the others go on.
                structlog.get_logger().error(
                    "popularity is not refreshed", tenant=one.tenant, surface=one.surface, error=str(error)
                )
        self._due_s = due_s or {("", "", ""): now_s + RETRY_INTERVAL_S}
        if is_whole:
            self._files.keep_only(due_s.keys())

    def _refresh(self, one: _Wanted, window: OutcomeWindow, now_s: float, due_s: dict[Place, float]) -> None:
        """Write the artifact of what is wanted if its time has come; ``due_s`` says when it comes next."""
        release = self._release(one)
        key = None if release is None else fresh_key(one.config, one.surface, release.version)
        if release is None or key is None:
            return
        place = (one.tenant, one.surface, key)
        due_s[place] = self._due_s.get(place, 0.0)
        if now_s >= due_s[place]:
            # Hosts and restarts agree on the moment, so that equal outcomes give an equal artifact.
            as_of_s = now_s // one.settings.refresh_s * one.settings.refresh_s
            due_s[place] = as_of_s + one.settings.refresh_s
            self._write(place, one, release, window, as_of_s)

    def _write(
        self, place: Place, one: _Wanted, release: Release, window: OutcomeWindow, as_of_s: float
    ) -> None:
        settings = one.settings
        catalog = Catalog.open(str(release.artifacts[CATALOG]))
        popularity = Signal.open(str(release.artifacts[POPULARITY]))
        counts = count_fresh(
            window.outcomes(one.tenant, one.surface),
            settings,
            one.config.pipeline.event_weights,
            after_s=window_end_s(popularity),
            as_of_s=as_of_s,
        )
        made = self._files.folder(place) / ".made.rsa"
        version = merge_popularity(catalog, popularity, counts, made)
        valid_until_s = as_of_s + _STALE_AFTER * settings.refresh_s
        self._files.publish(
            place, FreshPointer(version, as_of_s, valid_until_s), None if version is None else made
        )

    def _release(self, one: _Wanted) -> Release | None:
        """Return the release that is meant, if it is there and has a popularity."""
        release = self._releases.current.get((one.tenant, one.surface))
        if one.manifest_version is not None and (release is None or release.version != one.manifest_version):
            release = self._releases.fetch(one.tenant, one.surface, one.manifest_version)
        return release if release is not None and POPULARITY in release.artifacts else None

    def _take_change(self) -> None:
        """Read what is wanted now; after an erasure of a user, count anew from the logs."""
        with self._plane.read() as reader:
            changes = audit.entries_after(reader, max(self._generation, 0))
        if self._generation >= 0 and any(entry.action == audit.ERASE_ACTION for entry in changes):
            self._window, self._due_s = None, {}
        view = self._plane.serving_view()
        wanted: dict[tuple[str, str, str | None], _Wanted] = {}
        for name, held in view.tenants.items():
            stored = held.documents.get("config")
            if held.tenant.state == "suspended":
                continue
            # Of documents that cannot be used the workers tell.
            with suppress(RecsysError):
                config = TenantConfig() if stored is None else parse_config(stored.data)
                for one in self._wanted_of(name, config, held.documents.get("experiments")):
                    key = fresh_key(one.config, one.surface, one.manifest_version or "")
                    wanted.setdefault((name, one.surface, key), one)
        self._generation = view.generation
        self._wanted = list(wanted.values())
        self._has_changed = True
        if not self._wanted:
            self._files.keep_only(set())

    def _wanted_of(
        self, tenant: str, config: TenantConfig, experiments: StoredDocument | None
    ) -> Iterator[_Wanted]:
        served: list[tuple[str, TenantConfig, str | None]]
        served = [(surface, config, None) for surface in config.surfaces]
        for surface, arm in () if experiments is None else _serving_arms(experiments.data):
            of_arm = config
            if arm.config_version is not None:
                of_arm = parse_config(self._plane.document(tenant, "config", arm.config_version).data)
            served.append((surface, of_arm, arm.manifest_version))
        for surface, one, manifest_version in served:
            settings = fresh_popularity_of(one, surface)
            if settings is not None:
                yield _Wanted(tenant, surface, one, settings, manifest_version)

    def _follow_logs(self) -> OutcomeWindow:
        """Return the window over the logs, a new one when other tenants or a longer time are wanted."""
        tenants = frozenset(one.tenant for one in self._wanted)
        window_s = max(one.settings.window_hours for one in self._wanted) * 3600
        if self._window is None or self._followed != (tenants, window_s):
            since = datetime.fromtimestamp(self._clock() - window_s, UTC)
            self._window, self._followed = OutcomeWindow(self._logs, tenants, since), (tenants, window_s)
        return self._window


def _serving_arms(data: bytes) -> Iterator[tuple[str, Arm]]:
    with suppress(RecsysError):  # the workers tell of a document that cannot be used
        document = parse_experiments(data)
        if not document.kill_switch:
            for experiment in document.experiments:
                if experiment.is_serving:
                    yield from ((experiment.surface, arm) for arm in experiment.arms)
