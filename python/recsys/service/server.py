"""Runs the application on granian: checks first, worker processes after, and a graceful stop on SIGTERM."""

from __future__ import annotations

import ipaddress
import os
import shutil
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from granian import Granian
from granian.constants import Interfaces
from granian.log import LogLevels
from msgspec import Struct

from recsys.contracts.errors import RecsysError, UsageError
from recsys.observability.logs import configure_logs
from recsys.service.state import DEFAULT_TENANT, State, Tenant, load_state

if TYPE_CHECKING:
    from recsys.service.app import App

# prometheus_client decides at import how it counts, so nothing here may import it before the variable is set.
_METRICS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_STOP_TIMEOUT_S = 10


class ServeError(RecsysError):
    """The server cannot be started as asked."""


class ServeOptions(Struct, frozen=True):
    """How to serve; ``port`` 0 takes a free one."""

    data_dir: Path
    host: str
    port: int
    workers: int


def serve_development(options: ServeOptions, announce: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; ``announce`` is told, line by line, where and how to try it.

    Raises :class:`UsageError` for a host beyond loopback, :class:`ServeError` for a port that is taken, and
    the error of whatever makes the data unusable.
    """
    require_loopback(options.host)
    port = reserve_port(options.host, options.port)
    for folder in ("logs/exposures", "logs/outcomes", "logs/assignments", "control", "cache"):
        _make_folder(options.data_dir / folder)
    state = load_state(options.data_dir)
    lines = example_requests(state, f"http://{options.host}:{port}")
    del state
    metrics_dir = options.data_dir / "cache" / "metrics"
    shutil.rmtree(metrics_dir, ignore_errors=True)
    _make_folder(metrics_dir)
    os.environ[_METRICS_VARIABLE] = str(metrics_dir)
    server = Granian(
        "recsys",
        address=options.host,
        port=port,
        interface=Interfaces.RSGI,
        workers=options.workers,
        websockets=False,
        log_level=LogLevels.warning,
        workers_kill_timeout=_STOP_TIMEOUT_S,
        # Else the death of one worker ends them all. One that keeps dying still ends the server.
        respawn_failed_workers=True,
    )
    announce(f"serving {options.data_dir} at http://{options.host}:{port} (development: everybody is admin)")
    for line in lines:
        announce(line)
    # Granian types what it is given as a callable; an RSGI application may also be an object with __rsgi__.
    server.serve(target_loader=partial(_make_app, options.data_dir), wrap_loader=False)  # type: ignore[arg-type]


def _make_app(data_dir: Path) -> App:
    """Build the application, in the worker that runs it."""
    from recsys.service.app import App  # noqa: PLC0415  it counts, so it waits for the variable
    from recsys.service.auth import DevelopmentAuthenticator  # noqa: PLC0415

    configure_logs()
    forget_dead_workers(Path(os.environ[_METRICS_VARIABLE]))
    return App(load_state(data_dir), DevelopmentAuthenticator(DEFAULT_TENANT))


def forget_dead_workers(metrics_dir: Path) -> None:
    """Remove the gauges of workers that are gone; what they have counted stays."""
    for path in metrics_dir.glob("gauge_live*.db"):
        try:
            os.kill(int(path.stem.rpartition("_")[2]), 0)
        except ProcessLookupError:
            path.unlink(missing_ok=True)


def require_loopback(host: str) -> None:
    """Raise :class:`UsageError` unless ``host`` is ``localhost`` or a loopback address."""
    try:
        is_loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise UsageError(f"--host {host}: --dev trusts everybody, so it binds to loopback only (127.0.0.1)")


def reserve_port(host: str, port: int) -> int:
    """Return ``port``, or a free one for 0; raises :class:`ServeError` when it is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ServeError(f"cannot listen at {host}:{port}: {error.strerror}") from error
        chosen: int = probe.getsockname()[1]
    return chosen


def example_requests(state: State, url: str) -> list[str]:
    """Return two curl lines that work: a recommendation, and what goes with a popular item."""
    tenant = state.tenants.get(DEFAULT_TENANT) or next(iter(state.tenants.values()))
    surface, item_id = _popular_item(tenant)
    header = "" if tenant.name == DEFAULT_TENANT else f" -H 'x-org-id: {tenant.name}'"
    recommend = {"surface": surface, "user": {"user_id": "u1"}, "k": 5, "anchors": {"item_ids": [item_id]}}
    bodies = {"recommend": recommend, "similar": {"surface": surface, "item_id": item_id, "k": 5}}
    return [
        f"curl -s {url}/v1/{path} -H 'content-type: application/json'{header} -d '{_shell_json(body)}'"
        for path, body in bodies.items()
    ]


def _popular_item(tenant: Tenant) -> tuple[str, str]:
    """Return a surface and a popular item of it that has neighbours, else its first item."""
    surface, snapshot = next(iter(tenant.snapshots.items()))
    popularity, cooc = snapshot.signals.get("popularity"), snapshot.signals.get("cooc")
    if popularity is not None:
        for key in popularity.keys(0, 1):
            for item_id, _ in popularity.ranked(snapshot.catalog, key, 100) or []:
                if cooc is None or cooc.ranked(snapshot.catalog, item_id, 1):
                    return surface, item_id
    return surface, snapshot.catalog.item_at(0).item_id


def _shell_json(body: object) -> str:
    return msgspec.json.encode(body).decode().replace("'", "'\\''")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ServeError(f"{folder}: cannot be made: {error.strerror}") from error
