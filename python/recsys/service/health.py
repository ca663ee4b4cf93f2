"""Whether this process lives and can serve, and what it serves."""

from __future__ import annotations

import recsys
from recsys._native import FORMAT_VERSION
from recsys.contracts.http import ComponentStatus, HealthResponse, VersionResponse
from recsys.observability.metrics import CONTENT_TYPE, Metrics
from recsys.service.state import State
from recsys.service.tenants import ServedTenant
from recsys.service.transport import Request, Response, json_response
from recsys.service.watcher import Watcher


class Health:
    """The handlers of ``/livez``, ``/readyz``, ``/healthz``, ``/version`` and ``/metrics``."""

    def __init__(self, state: State, watcher: Watcher, metrics: Metrics) -> None:
        self._state = state
        self._watcher = watcher
        self._metrics = metrics

    def livez(self, request: Request) -> Response:  # noqa: ARG002
        """The process answers."""
        return json_response(200, HealthResponse("ok", []))

    def readyz(self, request: Request) -> Response:  # noqa: ARG002
        """Whether this worker should be sent requests, with everything that is amiss.

        503 when it cannot serve anybody, or is about to stop, or its exposure log fails. What one surface
        lacks, or what is served from the last good version, is told with 200.
        """
        components = self._components()
        if not self._can_serve(components):
            return json_response(503, HealthResponse("unavailable", components))
        is_well = all(component.ok for component in components)
        return json_response(200, HealthResponse("ok" if is_well else "degraded", components))

    def version(self, request: Request) -> Response:  # noqa: ARG002
        """The versions of the code, of the artifact format, and of every snapshot."""
        snapshots = {
            f"{tenant.name}/{surface}": snapshot.versions.labels
            for tenant in self._state.tenants.values()
            for surface, snapshot in tenant.snapshots.items()
        }
        return json_response(200, VersionResponse(recsys.__version__, FORMAT_VERSION, snapshots))

    def metrics(self, request: Request) -> Response:  # noqa: ARG002
        """Prometheus text exposition, over all workers."""
        return Response(200, self._metrics.render(), CONTENT_TYPE)

    def _can_serve(self, components: list[ComponentStatus]) -> bool:
        log = components[0]
        return (
            log.ok
            and not self._state.is_stopping
            and any(
                snapshot.signals
                for tenant in self._state.tenants.values()
                for snapshot in tenant.snapshots.values()
            )
        )

    def _components(self) -> list[ComponentStatus]:
        log = self._state.exposures
        log.probe()
        state, watcher = self._state, self._watcher
        components = [
            ComponentStatus("exposure_log", log.last_error is None, log.last_error or ""),
            ComponentStatus("tenants", bool(state.tenants), "" if state.tenants else "none"),
            ComponentStatus("control_store", watcher.store_error is None, watcher.store_error or ""),
            ComponentStatus("registry", watcher.registry_error is None, watcher.registry_error or ""),
        ]
        if state.is_stopping:
            components.append(ComponentStatus("stop", ok=False, detail="this worker is about to stop"))
        for tenant in state.tenants.values():
            for surface in sorted(tenant.snapshots.keys() | tenant.failures.keys()):
                detail = _trouble_of(tenant, surface)
                components.append(ComponentStatus(f"snapshot {tenant.name}/{surface}", not detail, detail))
        return components


def _trouble_of(tenant: ServedTenant, surface: str) -> str:
    snapshot, failure = tenant.snapshots.get(surface), tenant.failures.get(surface)
    if failure is not None:
        return f"{'nothing' if snapshot is None else 'the last good version'} is served: {failure}"
    if snapshot is not None and not snapshot.signals:
        return "no signal: only the newest of the catalog are served"
    return ""
