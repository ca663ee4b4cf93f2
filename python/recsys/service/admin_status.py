"""What serves each surface of a tenant, over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime

from recsys.contracts.admin import SurfaceStatus, TenantStatus
from recsys.service.state import State
from recsys.service.tenants import ServedTenant
from recsys.service.transport import Request, Response, json_response


class AdminStatus:
    """The handler of ``status``."""

    def __init__(self, state: State) -> None:
        self._state = state

    def show(self, request: Request) -> Response:
        """Who asks, and the versions and age of every snapshot in this worker."""
        principal = request.principal
        tenant = self._state.tenant(principal.tenant_id)
        surfaces = sorted(tenant.snapshots.keys() | tenant.failures.keys())
        status = TenantStatus(
            tenant_id=tenant.name,
            subject=principal.subject,
            roles=sorted(principal.roles),
            time=datetime.now(UTC),
            surfaces=[_describe(tenant, surface) for surface in surfaces],
        )
        return json_response(200, status)


def _describe(tenant: ServedTenant, surface: str) -> SurfaceStatus:
    snapshot, released_at_s = tenant.snapshots.get(surface), tenant.released_at_s.get(surface)
    versions = None if snapshot is None else snapshot.versions
    settings = tenant.documents.config.surfaces.get(surface)
    return SurfaceStatus(
        surface=surface,
        config_version="" if versions is None else versions.config_version,
        rules_version="" if versions is None else versions.rules_version,
        manifest_version="" if versions is None else versions.manifest_version,
        released_at=None if released_at_s is None else datetime.fromtimestamp(released_at_s, UTC),
        compiled_at=None if snapshot is None else datetime.fromtimestamp(snapshot.compiled_at_s, UTC),
        signals=[] if snapshot is None else sorted(snapshot.signals),
        failure=tenant.failures.get(surface, ""),
        schedule_hours=None if settings is None else settings.schedule_hours,
    )
