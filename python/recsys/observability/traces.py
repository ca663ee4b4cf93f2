"""Traces by OpenTelemetry, exported over OTLP (HTTP). Where to, the ``OTEL_`` variables say."""

from __future__ import annotations

import time
from collections.abc import Mapping

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator


class Tracer:
    """Hands spans that are over to an exporter, which sends them in batches from its own thread."""

    def __init__(self, exporter: SpanExporter | None = None) -> None:
        """``exporter`` is OTLP over HTTP unless given; a receiver that is down costs spans, no request."""
        # Resource.create also takes OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES, which win.
        provider = TracerProvider(resource=Resource.create({SERVICE_NAME: "recsys"}))
        provider.add_span_processor(BatchSpanProcessor(exporter or OTLPSpanExporter()))
        self._provider = provider
        self._tracer = provider.get_tracer("recsys")
        self._propagator = TraceContextTextMapPropagator()

    def record(
        self,
        name: str,
        *,
        duration_s: float,
        is_failure: bool,
        parent: Mapping[str, str] | None,
        attributes: Mapping[str, str | int],
    ) -> None:
        """Make a span that ends now; ``parent`` has the ``traceparent`` of its caller (W3C Trace Context)."""
        ended_ns = time.time_ns()
        context = None if parent is None else self._propagator.extract(parent)
        span = self._tracer.start_span(
            name,
            context=context or Context(),
            kind=SpanKind.SERVER,
            attributes=dict(attributes),
            start_time=ended_ns - round(duration_s * 1e9),
        )
        if is_failure:
            span.set_status(StatusCode.ERROR)
        span.end(ended_ns)

    def close(self) -> None:
        """Export what is left."""
        self._provider.shutdown()
