"""Releases over HTTP: which artifacts a surface serves, its history, and the way back."""

from __future__ import annotations

import hashlib

import msgspec

from recsys.artifacts.registry import Current, Registry
from recsys.contracts.admin import ReleaseHistory, ReleaseVersion, RollbackRequest
from recsys.contracts.http import Name
from recsys.contracts.manifest import write_manifest
from recsys.contracts.patterns import in_words
from recsys.contracts.problems import ProblemCode
from recsys.control.plane import ControlPlane
from recsys.control.release_moves import entering
from recsys.service.admin_documents import PageQuery
from recsys.service.bodies import decode_body, decode_query
from recsys.service.entity_tags import expect_current, not_modified, tag_header
from recsys.service.problems import ProblemError
from recsys.service.transport import Request, Response, json_response
from recsys.service.watcher import Watcher


class AdminManifests:
    """The handlers of ``manifests/{surface}`` and below."""

    def __init__(self, plane: ControlPlane, registry: Registry, watcher: Watcher) -> None:
        self._plane = plane
        self._registry = registry
        self._watcher = watcher
        self._rollback = msgspec.json.Decoder(RollbackRequest)

    def show(self, request: Request) -> Response:
        """The current manifest, as it lies in the registry."""
        current = self._current(request)
        version = hashlib.sha256(current.data).hexdigest()
        return not_modified(request.headers, version) or Response(
            200, current.data, headers=tag_header(version)
        )

    def history(self, request: Request) -> Response:
        """The newest releases."""
        limit = decode_query(request, PageQuery).limit
        current = self._current(request).manifest.version
        releases = self._registry.history(*_surface(request))[:limit]
        return json_response(
            200,
            ReleaseHistory(
                [
                    ReleaseVersion(
                        one.version, one.parent, one.updated_at, sorted(one.current), one.version == current
                    )
                    for one in releases
                ]
            ),
        )

    def roll_back(self, request: Request) -> Response:
        """Point at an earlier release again; this worker looks at once, the others within their interval."""
        body = decode_body(request, self._rollback)
        tenant, surface = _surface(request)
        current = self._current(request)
        before = current.manifest.version
        expected = expect_current(request.headers, hashlib.sha256(current.data).hexdigest(), "manifest")
        manifest = self._registry.roll_back(
            tenant,
            surface,
            body.to,
            expected=None if expected is None else before,
            moving=entering(
                self._plane,
                tenant,
                surface,
                actor=request.principal.subject,
                action="manifest.rollback",
                subject=f"manifest {surface}",
                comment=body.comment,
            ),
        )
        self._watcher.poke()
        data = write_manifest(manifest)
        return Response(200, data, headers=tag_header(hashlib.sha256(data).hexdigest()))

    def _current(self, request: Request) -> Current:
        self._plane.tenant(request.principal.tenant_id)
        tenant, surface = _surface(request)
        current = self._registry.current(tenant, surface)
        if current is None:
            raise ProblemError(
                ProblemCode.CONFIG_NOT_FOUND,
                f"tenant {tenant!r}: nothing is published for surface {surface!r}",
            )
        return current


def _surface(request: Request) -> tuple[str, str]:
    """Return tenant and surface of a request; raises 400 when the surface is not one path segment."""
    surface = request.parameters["surface"]
    try:
        return request.principal.tenant_id, msgspec.convert(surface, Name)
    except msgspec.ValidationError as error:
        said = in_words(str(error))
        raise ProblemError(ProblemCode.INVALID_REQUEST, f"surface {surface!r}: {said}") from error
