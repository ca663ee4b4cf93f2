"""The application: an RSGI callable that reads a request, finds its handler, and tells errors as problems."""

from __future__ import annotations

import asyncio
import time

import structlog

from recsys.contracts.problems import STATUS_AND_TITLE, ProblemCode, make_problem
from recsys.observability.metrics import Metrics
from recsys.service.auth import Authenticator
from recsys.service.documentation import Documentation
from recsys.service.health import Health
from recsys.service.lists import Lists
from recsys.service.problems import PROBLEM_TYPE, ProblemError
from recsys.service.request_ids import RequestIds
from recsys.service.routes import Router
from recsys.service.state import State
from recsys.service.transport import HttpProtocol, Request, Response, Scope, json_response, read_body


class App:
    """One worker's application over its state."""

    def __init__(self, state: State, authenticator: Authenticator) -> None:
        self._state = state
        self._metrics = Metrics()
        self._log = structlog.get_logger()
        self._request_ids = RequestIds()
        lists = Lists(state, authenticator, self._metrics)
        health = Health(state, self._metrics)
        documentation = Documentation()
        self._router = Router(
            {
                "/v1/recommend": {"POST": lists.recommend},
                "/v1/recommend/validate": {"POST": lists.validate},
                "/v1/similar": {"POST": lists.similar},
                "/livez": {"GET": health.livez},
                "/readyz": {"GET": health.readyz},
                "/healthz": {"GET": health.readyz},
                "/version": {"GET": health.version},
                "/metrics": {"GET": health.metrics},
                "/openapi.json": {"GET": documentation.openapi},
                "/docs": {"GET": documentation.page},
            }
        )
        for tenant in state.tenants.values():
            for surface, snapshot in tenant.snapshots.items():
                compiled = self._metrics.snapshot_compiled.labels(tenant.name, surface)
                compiled.set(snapshot.compiled_at_s)

    def __rsgi_del__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Close what the worker holds open, after its last response."""
        self._metrics.flush()
        self._state.close()

    async def __rsgi__(self, scope: Scope, protocol: HttpProtocol) -> None:
        """Answer one request."""
        started = time.perf_counter()
        headers = scope.headers
        request_id = self._request_ids.choose(headers.get("x-request-id"))
        try:
            handler = self._router.find(scope.method, scope.path)
            body = b"" if scope.method in ("GET", "HEAD") else await read_body(headers, protocol)
            request = Request(scope.method, scope.path, headers, body, request_id, started)
            response = handler(request)
        except ProblemError as error:
            response = self._refuse(error, scope.path, request_id)
        except Exception:  # noqa: BLE001  the last line of defence: logged whole, told as 500
            self._log.exception("request failed", path=scope.path, request_id=request_id)
            internal = ProblemError(ProblemCode.INTERNAL, "the service failed; its log has this request id")
            response = self._refuse(internal, scope.path, request_id)
        head = [("content-type", response.content_type), ("x-request-id", request_id)]
        if response.headers is not None:
            head += response.headers
        protocol.response_bytes(response.status, head, response.body)

    def _refuse(self, error: ProblemError, path: str, request_id: str) -> Response:
        self._metrics.problems.labels(error.code).inc()
        problem = make_problem(error.code, error.detail, instance=path, request_id=request_id)
        response = json_response(STATUS_AND_TITLE[error.code][0], problem)
        return Response(response.status, response.body, PROBLEM_TYPE, error.headers)
