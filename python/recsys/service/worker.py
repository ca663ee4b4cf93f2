"""One worker process: its state, who is trusted, and the application over them."""

from __future__ import annotations

import gc
import os
import sys
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import TYPE_CHECKING

from recsys.observability.logs import configure_logs
from recsys.service.auth import Authenticator, DevelopmentAuthenticator
from recsys.service.credentials import CredentialAuthenticator
from recsys.service.loading import load_state
from recsys.service.recorders import Recorder, RequestLog, RequestTraces
from recsys.service.settings import DEFAULT_TENANT, ServedRoutes, ServeSettings
from recsys.service.state import State

if TYPE_CHECKING:
    from recsys.service.app import App

# prometheus_client decides at import how it counts, so nothing here may import it before the variable is set.
METRICS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_SWITCH_INTERVAL_S = 0.0005
"""How long a thread that compiles keeps a request waiting for the interpreter; a tenth of Python's own."""


def make_app(settings: ServeSettings, routes: ServedRoutes, stopping: Event) -> App:
    """Build the application, in the worker that runs it."""
    from recsys.service.admission import Admission  # noqa: PLC0415
    from recsys.service.app import App  # noqa: PLC0415  it counts, so it waits for the variable
    from recsys.service.rate_limits import RateLimits  # noqa: PLC0415
    from recsys.service.shared_counts import SharedCounts  # noqa: PLC0415

    configure_logs()
    metrics_dir = Path(os.environ[METRICS_VARIABLE])
    forget_dead_workers(metrics_dir)
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    state, watcher = load_state(settings.sources)
    state.stopping = stopping
    app = App(
        state,
        watcher,
        make_authenticator(settings, state),
        routes=routes,
        admission=Admission(settings.max_pending),
        rate_limits=RateLimits(SharedCounts(metrics_dir / "rate-limits.bin")),
        recorders=make_recorders(settings, state),
    )
    watcher.start()
    # What is loaded now stays, so the collector need not look at it again and again.
    gc.freeze()
    return app


def make_authenticator(settings: ServeSettings, state: State) -> Authenticator:
    """Return what turns headers into principals, as the settings say."""
    if settings.is_development:
        return DevelopmentAuthenticator(DEFAULT_TENANT)
    if settings.tokens is None:
        return CredentialAuthenticator(state, None)
    from recsys.service.jwks import KeySet  # noqa: PLC0415  needs the extra `auth`
    from recsys.service.tokens import TokenVerifier  # noqa: PLC0415

    return CredentialAuthenticator(state, TokenVerifier(settings.tokens, KeySet(settings.tokens.jwks)))


def make_recorders(settings: ServeSettings, state: State) -> list[Recorder]:
    """Return what is told of every request; what has to be closed is closed with the state."""
    recorders: list[Recorder] = []
    if settings.logs_requests:
        recorders.append(RequestLog())
    if settings.traces_requests:
        from recsys.observability.traces import Tracer  # noqa: PLC0415  needs the extra `otel`

        tracer = Tracer()
        state.closing.append(tracer.close)
        recorders.append(RequestTraces(tracer))
    return recorders


def forget_dead_workers(metrics_dir: Path) -> None:
    """Remove the gauges of workers that are gone; what they have counted stays."""
    for path in metrics_dir.glob("gauge_live*.db"):
        try:
            os.kill(int(path.stem.rpartition("_")[2]), 0)
        except ProcessLookupError:
            path.unlink(missing_ok=True)
