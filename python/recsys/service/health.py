"""Whether this process lives and can serve, and what it serves."""

from __future__ import annotations

from recsys import __version__
from recsys._native import FORMAT_VERSION
from recsys.contracts.http import ComponentStatus, HealthResponse, VersionResponse
from recsys.observability.metrics import CONTENT_TYPE, Metrics
from recsys.service.state import State
from recsys.service.transport import Request, Response, json_response


class Health:
    """The handlers of ``/livez``, ``/readyz``, ``/healthz``, ``/version`` and ``/metrics``."""

    def __init__(self, state: State, metrics: Metrics) -> None:
        self._state = state
        self._metrics = metrics

    def livez(self, request: Request) -> Response:  # noqa: ARG002
        """The process answers."""
        return json_response(200, HealthResponse("ok", []))

    def readyz(self, request: Request) -> Response:  # noqa: ARG002
        """Every component can do its work, or 503 with what is missing.

        A failing exposure log makes a worker not ready, though it keeps answering what it is sent.
        """
        components = self._components()
        if all(component.ok for component in components):
            return json_response(200, HealthResponse("ok", components))
        return json_response(503, HealthResponse("unavailable", components))

    def version(self, request: Request) -> Response:  # noqa: ARG002
        """The versions of the code, of the artifact format, and of every snapshot."""
        snapshots = {
            f"{tenant.name}/{surface}": {
                name: getattr(snapshot.versions, name) for name in snapshot.versions.__struct_fields__
            }
            for tenant in self._state.tenants.values()
            for surface, snapshot in tenant.snapshots.items()
        }
        return json_response(200, VersionResponse(__version__, FORMAT_VERSION, snapshots))

    def metrics(self, request: Request) -> Response:  # noqa: ARG002
        """Prometheus text exposition, over all workers."""
        return Response(200, self._metrics.render(), CONTENT_TYPE)

    def _components(self) -> list[ComponentStatus]:
        log = self._state.exposures
        log.probe()
        components = [
            ComponentStatus("exposure_log", log.last_error is None, log.last_error or ""),
            ComponentStatus("tenants", bool(self._state.tenants), "" if self._state.tenants else "none"),
        ]
        for tenant in self._state.tenants.values():
            for surface, snapshot in tenant.snapshots.items():
                detail = "" if snapshot.signals else "no signal: only the newest of the catalog are served"
                components.append(ComponentStatus(f"snapshot {tenant.name}/{surface}", not detail, detail))
        return components
