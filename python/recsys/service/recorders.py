"""What is kept of each request beside the metrics: a log line, a trace. Neither has an id of a user."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from recsys.service.transport import Request

if TYPE_CHECKING:  # it needs the extra `otel`
    from recsys.observability.traces import Tracer

Recorder = Callable[[Request, int], None]
"""Is told of a request and the status of its response, once that was sent."""


class RequestLog:
    """Writes a line for each request."""

    def __init__(self) -> None:
        self._log = structlog.get_logger()

    def __call__(self, request: Request, status: int) -> None:
        """Write the line."""
        self._log.info(
            "request",
            method=request.method,
            route=request.route,
            status=status,
            tenant=request.principal.tenant_id,
            request_id=request.request_id,
            duration_ms=round((time.perf_counter() - request.started) * 1000, 3),
        )


class RequestTraces:
    """Makes a span of each request, below the one that its ``traceparent`` names."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def __call__(self, request: Request, status: int) -> None:
        """Hand the span over; it is exported by a thread of its own."""
        parent = request.headers.get("traceparent")
        self._tracer.record(
            f"{request.method} {request.route or 'unknown'}",
            duration_s=time.perf_counter() - request.started,
            is_failure=status >= 500,
            parent=None if parent is None else {"traceparent": parent},
            attributes={
                "http.request.method": request.method,
                "http.route": request.route,
                "http.response.status_code": status,
                "recsys.tenant": request.principal.tenant_id,
                "recsys.request_id": request.request_id,
            },
        )
