"""Prometheus metrics of the service, in one process or over all workers of a host.

Label sets are bounded: endpoints, codes and list kinds are fixed, tenants and surfaces are configured ones.
With ``PROMETHEUS_MULTIPROC_DIR`` set before this module is imported, every worker writes to that folder and
any of them answers for all.
"""

from __future__ import annotations

import os
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

MULTIPROCESS_DIR = "PROMETHEUS_MULTIPROC_DIR"
CONTENT_TYPE = CONTENT_TYPE_LATEST
Outcome = Literal["ok", "server_error"]
ListKind = Literal["full", "short", "empty", "fallback"]
LATENCY_BUCKETS_S = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5),
)


class SurfaceMetrics:
    """The children of one endpoint of one surface, looked up once so that a request only adds to them."""

    def __init__(self, metrics: Metrics, endpoint: str, tenant: str, surface: str) -> None:
        outcomes: tuple[Outcome, ...] = ("ok", "server_error")
        self.requests = {o: metrics.requests.labels(endpoint, tenant, surface, o) for o in outcomes}
        self.latency = metrics.latency.labels(endpoint)
        kinds: tuple[ListKind, ...] = ("full", "short", "empty", "fallback")
        self.lists = {kind: metrics.lists.labels(tenant, surface, kind) for kind in kinds}


class Metrics:
    """Every metric of the service, on a registry of its own."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self._registry = registry
        self._surfaces: dict[tuple[str, str, str], SurfaceMetrics] = {}
        self.requests = Counter(
            "recsys_requests",
            "Requests ranked; refused ones are in recsys_problems.",
            ["endpoint", "tenant", "surface", "outcome"],
            registry=registry,
        )
        self.latency = Histogram(
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
        self.snapshot_compiled = Gauge(
            "recsys_snapshot_compiled_timestamp_seconds",
            "When the snapshot that serves was compiled (Unix seconds; the oldest of the workers).",
            ["tenant", "surface"],
            registry=registry,
            multiprocess_mode="livemin",
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

    def of_surface(self, endpoint: str, tenant: str, surface: str) -> SurfaceMetrics:
        """Return the cached children of one endpoint of one configured surface."""
        key = (endpoint, tenant, surface)
        children = self._surfaces.get(key)
        if children is None:
            children = self._surfaces[key] = SurfaceMetrics(self, endpoint, tenant, surface)
        return children

    def render(self) -> bytes:
        """Return the text exposition of this process, or of all workers in multiprocess mode."""
        if MULTIPROCESS_DIR not in os.environ:
            return generate_latest(self._registry)
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
