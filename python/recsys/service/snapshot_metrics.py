"""What the watcher does, as metrics: the age of every snapshot, and what could not be compiled."""

from __future__ import annotations

from recsys.observability.metrics import Metrics
from recsys.service.state import State
from recsys.service.tenants import ServedTenant


class SnapshotMetrics:
    """Tells the metrics what the watcher tells it."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def swapped(self, state: State) -> None:
        """Set the gauges of every surface; its counters of what alerts watch begin at 0."""
        self._metrics.generation.set(state.generation)
        for tenant in state.tenants.values():
            self._metrics.exposure_failures.labels(tenant.name)
            for surface, snapshot in tenant.snapshots.items():
                self._metrics.snapshot_compiled.labels(tenant.name, surface).set(snapshot.compiled_at_s)
                self._set_freshness(tenant, surface)
            for surface in tenant.snapshots.keys() | tenant.failures.keys():
                self._metrics.compile_failures.labels(tenant.name, surface)
                is_stale = surface in tenant.failures
                self._metrics.snapshot_stale.labels(tenant.name, surface).set(is_stale)

    def _set_freshness(self, tenant: ServedTenant, surface: str) -> None:
        released_at_s = tenant.released_at_s.get(surface)
        if released_at_s is not None:
            self._metrics.manifest_updated.labels(tenant.name, surface).set(released_at_s)
        settings = tenant.config.surfaces.get(surface)
        if settings is not None and settings.schedule_hours is not None:
            self._metrics.manifest_schedule.labels(tenant.name, surface).set(settings.schedule_hours * 3600)

    def failed(self, tenant: str, surface: str) -> None:
        """Count what could not be compiled."""
        self._metrics.compile_failures.labels(tenant, surface).inc()
