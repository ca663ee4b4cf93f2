"""What the watcher does, as metrics: the age of every snapshot, and what could not be compiled."""

from __future__ import annotations

from recsys.observability.metrics import Metrics
from recsys.service.state import State


class SnapshotMetrics:
    """Tells the metrics what the watcher tells it."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def swapped(self, state: State) -> None:
        """Set the gauges of every surface."""
        self._metrics.generation.set(state.generation)
        for tenant in state.tenants.values():
            for surface, snapshot in tenant.snapshots.items():
                self._metrics.snapshot_compiled.labels(tenant.name, surface).set(snapshot.compiled_at_s)
            for surface in tenant.snapshots.keys() | tenant.failures.keys():
                is_stale = surface in tenant.failures
                self._metrics.snapshot_stale.labels(tenant.name, surface).set(is_stale)

    def failed(self, tenant: str, surface: str) -> None:
        """Count what could not be compiled."""
        self._metrics.compile_failures.labels(tenant, surface).inc()
