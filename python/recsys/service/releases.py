"""The releases that the registry points to, fetched into the local cache; off the request path.

The cache remembers what was fetched, so a worker that starts while the registry does not answer serves what
was served before.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from recsys.artifacts.cache import ArtifactCache
from recsys.artifacts.registry import Registry
from recsys.contracts.errors import RecsysError
from recsys.contracts.manifest import Manifest
from recsys.service.compiler import Release

RETRY_S = 2.0
"""How long a release that could not be fetched is left alone, unless its pointer moves; doubled each time."""

MAX_RETRY_S = 60.0
SurfaceKey = tuple[str, str]
"""Tenant and surface."""


class Releases:
    """Follows the pointers of a registry. Used by one thread; ``current`` may be read by others."""

    def __init__(
        self,
        registry: Registry,
        cache: ArtifactCache,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``clock`` gives seconds."""
        self._registry = registry
        self._cache = cache
        self._clock = clock
        self._stamps: dict[SurfaceKey, str | None] = {}
        self._retries: dict[SurfaceKey, _Retry] = {}
        self.current: dict[SurfaceKey, Release] = {}
        """The release of each surface; replaced, never changed in place."""
        self.failures: dict[SurfaceKey, str] = {}
        """Why the newest release of a surface could not be fetched; replaced, never changed in place."""
        self.error: str | None = None
        """Why the registry could not be asked, or ``None`` when it answered the latest time."""

    @property
    def is_local(self) -> bool:
        """Whether asking the registry is cheap: it is a folder."""
        return self._registry.is_local

    def recall(self) -> None:
        """Take what was fetched by an earlier process, so far as it is still in the cache."""
        for key in self._cache.surfaces():
            manifest = self._cache.last_fetched(*key)
            if manifest is None:
                continue
            # What is not in the cache any more is fetched by the next poll, which reports a failure.
            with contextlib.suppress(RecsysError, OSError):
                paths = self._cache.fetch(self._registry, manifest)
                self.current = self.current | {key: _release_of(manifest, paths)}

    def fetch(self, tenant: str, surface: str, version: str) -> Release:
        """Return a release that need not be the current one; raises ``RecsysError``."""
        manifest = self._registry.find(tenant, surface, version)
        return _release_of(manifest, self._cache.fetch(self._registry, manifest))

    def poll(self) -> bool:
        """Look at every pointer and fetch what is new; return whether anything changed. Raises nothing."""
        before = (self.current, self.failures)
        try:
            keys = self._registry.surfaces()
        except RecsysError as error:
            self.error = str(error)
            return False
        if self.current and not keys:
            # A folder that is not mounted looks like this. Nothing that serves is given up for it.
            self.error = f"{self._registry.url}: has no pointer any more"
            return False
        self.error = None
        for key in keys:
            self._follow(key)
        self._forget(set(keys))
        return before[0] is not self.current or before[1] is not self.failures

    def _follow(self, key: SurfaceKey) -> None:
        """Fetch what a pointer names, if it has moved, or if the last try failed some time ago."""
        try:
            stamp = self._registry.pointer_tag(*key)
        except RecsysError as error:
            self._fail(key, str(error))
            return
        retry = self._retries.get(key)
        if key in self._stamps and stamp == self._stamps[key] and (retry is None or self._clock() < retry.at):
            return
        if stamp != self._stamps.get(key):
            self._retries.pop(key, None)
        self._stamps[key] = stamp
        try:
            current = self._registry.current(*key)
            if current is None:  # removed since it was listed
                return
            paths = self._cache.fetch(self._registry, current.manifest)
        except (RecsysError, OSError) as error:
            self._fail(key, str(error))
            return
        self._retries.pop(key, None)
        if key in self.failures:
            self.failures = {other: reason for other, reason in self.failures.items() if other != key}
        self.current = self.current | {key: _release_of(current.manifest, paths)}

    def _fail(self, key: SurfaceKey, reason: str) -> None:
        last = self._retries.get(key)
        wait_s = RETRY_S if last is None else min(2 * last.wait_s, MAX_RETRY_S)
        self._retries[key] = _Retry(self._clock() + wait_s, wait_s)
        if self.failures.get(key) != reason:
            self.failures = self.failures | {key: reason}

    def _forget(self, keys: set[SurfaceKey]) -> None:
        """Drop the surfaces whose pointer is gone."""
        gone = (self.current.keys() | self.failures.keys()) - keys
        if not gone:
            return
        self.current = {key: release for key, release in self.current.items() if key not in gone}
        self.failures = {key: reason for key, reason in self.failures.items() if key not in gone}
        for key in gone:
            self._stamps.pop(key, None)
            self._retries.pop(key, None)
            self._cache.forget(*key)


def _release_of(manifest: Manifest, paths: Mapping[str, Path]) -> Release:
    return Release(manifest.version, paths, manifest.updated_at.timestamp())


class _Retry(NamedTuple):
    at: float
    wait_s: float
