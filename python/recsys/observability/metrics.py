"""Prometheus metrics of the service, in one process or over all workers of a host.

Label sets are bounded: endpoints, codes and list kinds are fixed, tenants and surfaces are configured ones.
With ``PROMETHEUS_MULTIPROC_DIR`` set before this module is imported, every worker writes to that folder and
any of them answers for all.

What an alert watches is exported as 0 before it first happens: a series that was not there has no growth.

What each request counts is kept in plain numbers and written out a tenth of a second later, before a scrape,
and when the worker stops: many requests then cost the writing of one.
"""

from __future__ import annotations

import asyncio
import os
from bisect import bisect_left
from collections import Counter as Counts
from collections.abc import Callable, Sequence
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

MULTIPROCESS_DIR = "PROMETHEUS_MULTIPROC_DIR"
CONTENT_TYPE = CONTENT_TYPE_LATEST
Outcome = Literal["ok", "server_error"]
REFUSALS = ("rate", "pending")
ListKind = Literal["full", "short", "empty", "fallback"]
EventResult = Literal["accepted", "duplicates", "rejected"]
FLUSH_AFTER_S = 0.1
"""How long a scrape of another worker may miss what this one has counted."""

LATENCY_BUCKETS_S = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5),
)


class BatchHistogram(Histogram):
    """A histogram that takes many observations at once."""

    def observe_all(self, counts: Sequence[int], total: float) -> None:
        """Add observations: how many fell into each bucket, and their sum."""
        self._sum.inc(total)
        for bucket, count in zip(self._buckets, counts, strict=True):
            if count:
                bucket.inc(count)


class SurfaceMetrics:
    """What one endpoint of one surface has counted and not written yet."""

    def __init__(self, metrics: Metrics, endpoint: str, tenant: str, surface: str) -> None:
        self._metrics = metrics
        outcomes: tuple[Outcome, ...] = ("ok", "server_error")
        self._requests = {o: metrics.requests.labels(endpoint, tenant, surface, o) for o in outcomes}
        self._latency = metrics.latency.labels(endpoint)
        kinds: tuple[ListKind, ...] = ("full", "short", "empty", "fallback")
        self._lists = {kind: metrics.lists.labels(tenant, surface, kind) for kind in kinds}
        self._kinds: dict[ListKind, int] = dict.fromkeys(kinds, 0)
        self._buckets = [0] * (len(LATENCY_BUCKETS_S) + 1)
        self._seconds = 0.0
        self._n_failed = 0

    def count_list(self, kind: ListKind, seconds: float) -> None:
        """Count a list that was served, and how long it took."""
        self._kinds[kind] += 1
        self._buckets[bisect_left(LATENCY_BUCKETS_S, seconds)] += 1
        self._seconds += seconds
        self._metrics.flush_soon()

    def count_failure(self) -> None:
        """Count a request that the service could not answer."""
        self._n_failed += 1
        self._metrics.flush_soon()

    def flush(self) -> None:
        """Write what was counted since the last time."""
        if self._n_failed:
            self._requests["server_error"].inc(self._n_failed)
            self._n_failed = 0
        n_lists = sum(self._buckets)
        if not n_lists:
            return
        self._requests["ok"].inc(n_lists)
        self._latency.observe_all(self._buckets, self._seconds)
        for kind, count in self._kinds.items():
            if count:
                self._lists[kind].inc(count)
                self._kinds[kind] = 0
        self._buckets = [0] * len(self._buckets)
        self._seconds = 0.0


class Metrics:
    """Every metric of the service, on a registry of its own."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self._registry = registry
        self._surfaces: dict[tuple[str, str, str], SurfaceMetrics] = {}
        self._warned: Counts[str] = Counts()
        self._events: Counts[tuple[str, EventResult]] = Counts()
        self._will_flush = False
        self.requests = Counter(
            "recsys_requests",
            "Requests ranked; refused ones are in recsys_problems.",
            ["endpoint", "tenant", "surface", "outcome"],
            registry=registry,
        )
        self.latency = BatchHistogram(
            "recsys_request_duration_seconds",
            "Time from the decoded head of a request to its response.",
            ["endpoint"],
            buckets=LATENCY_BUCKETS_S,
            registry=registry,
        )
        self.lists = Counter(
            "recsys_lists",
            "Lists served: full, shorter than k, empty, or with items from a fallback rung.",
            ["tenant", "surface", "kind"],
            registry=registry,
        )
        self.warnings = Counter(
            "recsys_warnings", "Warnings in responses, by code.", ["code"], registry=registry
        )
        self.problems = Counter("recsys_problems", "Problem responses, by code.", ["code"], registry=registry)
        self.exposure_failures = Counter(
            "recsys_exposure_write_failures",
            "Exposure lines that could not be written.",
            ["tenant"],
            registry=registry,
        )
        self.events = Counter(
            "recsys_events",
            "Records of /v1/events: accepted, duplicates, rejected.",
            ["tenant", "result"],
            registry=registry,
        )
        self.snapshot_compiled = Gauge(
            "recsys_snapshot_compiled_timestamp_seconds",
            "When the snapshot that serves was compiled (Unix seconds; the oldest of the workers).",
            ["tenant", "surface"],
            registry=registry,
            multiprocess_mode="livemin",
        )
        self.manifest_updated = Gauge(
            "recsys_manifest_updated_timestamp_seconds",
            "When the release that serves was published (Unix seconds; the oldest of the workers).",
            ["tenant", "surface"],
            registry=registry,
            multiprocess_mode="livemin",
        )
        self.manifest_schedule = Gauge(
            "recsys_manifest_schedule_seconds",
            "How often a release is meant to be published, from the config's schedule_hours.",
            ["tenant", "surface"],
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.snapshot_stale = Gauge(
            "recsys_snapshot_stale",
            "1 while a surface serves its last good snapshot, or nothing, as the newest cannot be used.",
            ["tenant", "surface"],
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.compile_failures = Counter(
            "recsys_snapshot_failures",
            "Releases and documents that could not be made a snapshot.",
            ["tenant", "surface"],
            registry=registry,
        )
        self.generation = Gauge(
            "recsys_store_generation",
            "The change of the control store that is served (the one of the worker that is furthest behind).",
            registry=registry,
            multiprocess_mode="livemin",
        )
        self.refused = Counter(
            "recsys_refused",
            "Requests refused for a rate limit (rate), or as too many were pending in the worker (pending).",
            ["reason"],
            registry=registry,
        )
        for reason in REFUSALS:
            self.refused.labels(reason)
        self.pending = Gauge(
            "recsys_pending_requests",
            "Requests begun and not answered, as admission counts them (the sum of the workers).",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.count_pending: Callable[[], int] | None = None
        """Tells how many are pending; asked whenever counts are written."""

    def families(self) -> list[Metric]:
        """Return every metric family, with what this process has counted."""
        return list(self._registry.collect())

    def of_surface(self, endpoint: str, tenant: str, surface: str) -> SurfaceMetrics:
        """Return the cached children of one endpoint of one configured surface."""
        key = (endpoint, tenant, surface)
        children = self._surfaces.get(key)
        if children is None:
            children = self._surfaces[key] = SurfaceMetrics(self, endpoint, tenant, surface)
        return children

    def count_warning(self, code: str) -> None:
        """Count a warning in a response."""
        self._warned[code] += 1
        self.flush_soon()

    def count_events(self, tenant: str, result: EventResult, count: int) -> None:
        """Count records of ``/v1/events``."""
        if count:
            self._events[tenant, result] += count
            self.flush_soon()

    def flush_soon(self) -> None:
        """Write what was counted in ``FLUSH_AFTER_S``; without an event loop, at once."""
        if self._will_flush:
            return
        try:
            asyncio.get_running_loop().call_later(FLUSH_AFTER_S, self.flush)
            self._will_flush = True
        except RuntimeError:
            self.flush()

    def flush(self) -> None:
        """Write everything that was counted."""
        self._will_flush = False
        for surface in self._surfaces.values():
            surface.flush()
        for code, count in self._warned.items():
            self.warnings.labels(code).inc(count)
        self._warned.clear()
        for labels, count in self._events.items():
            self.events.labels(*labels).inc(count)
        self._events.clear()
        if self.count_pending is not None:
            self.pending.set(self.count_pending())

    def render(self) -> bytes:
        """Return the text exposition of this process, or of all workers in multiprocess mode."""
        self.flush()
        if MULTIPROCESS_DIR not in os.environ:
            return generate_latest(self._registry)
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
