"""The application: an RSGI callable that reads a request, finds its handler, and tells errors as problems."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import structlog
from granian._granian import RSGIProtocolClosed

from recsys.contracts.errors import RecsysError
from recsys.contracts.problems import TOO_MANY_REQUESTS, ProblemCode, make_problem
from recsys.control.principals import Principal
from recsys.observability.metrics import Metrics
from recsys.service.admission import Admission
from recsys.service.auth import Authenticator, agree_on_tenant, require_roles
from recsys.service.problems import PROBLEM_TYPE, ProblemError
from recsys.service.rate_limits import RateLimits
from recsys.service.recorders import Recorder
from recsys.service.refusals import as_problem
from recsys.service.request_ids import choose_request_id
from recsys.service.routes import Found, Router
from recsys.service.settings import ServedRoutes
from recsys.service.snapshot_metrics import SnapshotMetrics
from recsys.service.state import State
from recsys.service.table import make_router
from recsys.service.transport import (
    HttpProtocol,
    Request,
    Response,
    Scope,
    cut_off,
    json_response,
    read_body,
)
from recsys.service.watcher import Watcher


class App:
    """One worker's application over its state."""

    def __init__(
        self,
        state: State,
        watcher: Watcher,
        authenticator: Authenticator,
        *,
        routes: ServedRoutes = "all",
        admission: Admission | None = None,
        rate_limits: RateLimits | None = None,
        recorders: Sequence[Recorder] = (),
    ) -> None:
        """Each of ``recorders`` is told of every request, after its response was sent."""
        self._state = state
        self._watcher = watcher
        self._authenticator = authenticator
        self._metrics = Metrics()
        self._log = structlog.get_logger()
        self._admission = admission or Admission()
        self._metrics.count_pending = lambda: self._admission.pending
        self._rate_limits = rate_limits
        self._recorders = tuple(recorders)
        self.router: Router = make_router(state, watcher, self._metrics, routes, rate_limits)
        watcher.observer = SnapshotMetrics(self._metrics)
        watcher.observer.swapped(state)

    def __rsgi_del__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Close what the worker holds open, after its last response."""
        self._watcher.stop()
        self._metrics.flush()
        self._state.close()

    async def __rsgi__(self, scope: Scope, protocol: HttpProtocol) -> None:
        """Answer one request."""
        started = time.perf_counter()
        headers = scope.headers
        request_id = choose_request_id(headers.get("x-request-id"))
        request = Request(scope, headers, request_id, started)
        try:
            found = self.router.find(request.method, request.path)
            request.route, request.parameters = found.route.operation.path, found.parameters
            if found.route.operation.roles is None:
                response = await self._answer(request, found, protocol)
            else:
                self._enter()
                try:
                    # A credential that is not remembered may need a store, or the keys of a provider.
                    principal = self._authenticator.recall(headers)
                    if principal is None:
                        principal = await asyncio.to_thread(self._authenticator.authenticate, headers)
                    request.principal = self._authorize(principal, request, found)
                    response = await self._answer(request, found, protocol)
                finally:
                    self._admission.leave()
                    self._metrics.flush_soon()
        except ProblemError as error:
            response = self._refuse(error, request)
        except Exception as error:  # noqa: BLE001  the last line of defence: logged whole, told as 500
            problem = as_problem(error) if isinstance(error, RecsysError) else None
            if problem is None:
                self._log.exception("request failed", path=request.path, request_id=request_id)
                problem = ProblemError(
                    ProblemCode.INTERNAL, "the service failed; its log has this request id"
                )
            response = self._refuse(problem, request)
        head = [("content-type", response.content_type), ("x-request-id", request_id)]
        if response.headers is not None:
            head += response.headers
        protocol.response_bytes(response.status, head, response.body)
        for record in self._recorders:
            record(request, response.status)

    def _enter(self) -> None:
        try:
            self._admission.enter()
        except ProblemError:
            self._metrics.refused.labels("pending").inc()
            raise
        self._metrics.flush_soon()

    def _authorize(self, principal: Principal, request: Request, found: Found) -> Principal:
        """Return the caller in the tenant of this request; raises 401, 403 or 429."""
        operation = found.route.operation
        principal = agree_on_tenant(principal, request.headers, found.parameters.get("tenant_id"))
        if operation.roles is not None:
            require_roles(principal, operation.roles, operation.path)
        tenant = self._state.tenants.get(principal.tenant_id)
        if principal.is_suspended or (tenant is not None and tenant.is_suspended):
            raise ProblemError(ProblemCode.FORBIDDEN, f"tenant {principal.tenant_id!r} is suspended")
        if operation.is_limited and tenant is not None and self._rate_limits is not None:
            self._rate_limits.count(tenant, principal)
        return principal

    async def _answer(self, request: Request, found: Found, protocol: HttpProtocol) -> Response:
        operation = found.route.operation
        # `rollback?to=VERSION` must not roll back to another version than it says.
        if operation.is_admin and operation.query is None and request.query:
            raise ProblemError(
                ProblemCode.INVALID_REQUEST, f"query: {operation.method} {operation.path} takes no parameters"
            )
        if request.method not in ("GET", "HEAD"):
            try:
                request.body = await read_body(request.headers, protocol)
            except RSGIProtocolClosed as error:
                raise cut_off(request.headers) from error
        if found.route.operation.is_slow:
            return await asyncio.to_thread(found.route.handler, request)
        return found.route.handler(request)

    def _refuse(self, error: ProblemError, request: Request) -> Response:
        self._metrics.problems.labels(error.code).inc()
        if error.status == TOO_MANY_REQUESTS:
            self._metrics.refused.labels("rate").inc()
        problem = make_problem(
            error.code,
            error.detail,
            instance=request.path,
            request_id=request.request_id,
            status=error.status,
        )
        response = json_response(problem.status, problem)
        return Response(response.status, response.body, PROBLEM_TYPE, error.headers)
