"""Runs the application on granian: checks first, worker processes after, and a graceful stop on SIGTERM."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from granian.constants import Interfaces, Loops, RuntimeModes
from granian.log import LogLevels
from granian.server.mp import MPServer

from recsys.contracts.errors import RecsysError
from recsys.observability.logs import configure_logs
from recsys.service.background import start_background_work
from recsys.service.cores import take_core
from recsys.service.examples import example_requests
from recsys.service.loading import load_state
from recsys.service.metrics_folder import metrics_folder
from recsys.service.settings import ServedRoutes, ServeSettings
from recsys.service.state import State
from recsys.service.watcher import Watcher
from recsys.service.worker import METRICS_VARIABLE, make_app

if TYPE_CHECKING:
    from recsys.service.app import App

LOOP = Loops.asyncio if find_spec("uvloop") is None else Loops.uvloop
"""Named, as granian would take whatever loop it finds."""
HEAP_PAGES = ("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1")
"""Lets the heap of a worker lie on huge pages where there are such: a request touches many small objects."""

_STOP_TIMEOUT_S = 10
_FOLDERS = ("logs/exposures", "logs/outcomes", "logs/assignments", "control", "cache")
Announce = Callable[[str], None]


class ServeError(RecsysError):
    """The server cannot be started as asked."""


def serve(settings: ServeSettings, announce: Announce, warn: Announce) -> None:
    """Serve until SIGTERM or SIGINT; ``announce`` is told, line by line, where and how to try it.

    ``warn`` is told what keeps the service from being of use.

    Raises :class:`UsageError` for a setting that cannot be used, :class:`ServeError` for a port that is
    taken, and the error of whatever cannot be opened.
    """
    settings.check()
    configure_logs()
    settings = msgspec.structs.replace(
        settings,
        port=reserve_port(settings.host, settings.port),
        admin_port=None
        if settings.admin_port is None
        else reserve_port(settings.admin_host, settings.admin_port),
    )
    data_dir = settings.sources.data_dir
    for folder in _FOLDERS:
        _make_folder(data_dir / folder)
    lines = _try_state(settings, warn)
    with metrics_folder(data_dir / "cache" / "metrics") as metrics_dir:
        os.environ[METRICS_VARIABLE] = str(metrics_dir)
        _run(settings, lines, announce)


def _run(settings: ServeSettings, lines: list[str], announce: Announce) -> None:
    os.environ.setdefault(*HEAP_PAGES)
    # A forked worker would inherit threads in the middle of something, and an open store.
    multiprocessing.set_start_method("spawn", force=True)
    stopping = multiprocessing.Event()
    server = _Server(settings, settings.host, settings.port, settings.workers, stopping)
    admin = None
    if settings.admin_port is not None:
        admin = multiprocessing.Process(target=_serve_admin, args=(settings, stopping), name="recsys-admin")
        admin.start()
    threading.Thread(
        target=_announce_when_up, args=(settings, lines, announce, stopping), daemon=True
    ).start()
    start_background_work(settings.sources, stopping)
    try:
        server.run("all" if settings.admin_port is None else "public")
    finally:
        stopping.set()
        if admin is not None:
            admin.terminate()
            admin.join(_STOP_TIMEOUT_S + settings.drain_s)
            admin.kill()


class _Server(MPServer):
    """Granian whose workers are told that they are to stop some time before their sockets close."""

    def __init__(self, settings: ServeSettings, host: str, port: int, workers: int, stopping: Event) -> None:
        super().__init__(
            "recsys",
            address=host,
            port=port,
            interface=Interfaces.RSGI,
            loop=LOOP,
            # It is not woken for a response while it is awake: up to 6 % more requests.
            runtime_mode=RuntimeModes.mt,
            workers=workers,
            websockets=False,
            log_level=LogLevels.warning,
            workers_kill_timeout=_STOP_TIMEOUT_S,
            # Else the death of one worker ends them all. One that keeps dying still ends the server.
            respawn_failed_workers=True,
        )
        self._settings = settings
        self._stopping = stopping

    def run(self, routes: ServedRoutes) -> None:
        """Serve until a signal says to stop."""
        loader = partial(_load_app, self._settings, routes, self._stopping)
        # Granian types what it is given as a callable; an RSGI application may also be an object.
        self.serve(target_loader=loader, wrap_loader=False)  # type: ignore[arg-type]

    def signal_handler_interrupt(self, *_: object, **__: object) -> None:
        """Turn readiness off; close the sockets once that was noticed. A second signal does not wait."""
        is_first = not self._stopping.is_set()
        self._stopping.set()
        for worker in self.wrks:  # whatever ends a worker from now on, it is no failure
            worker.interrupt_by_parent = True
        if is_first and self._settings.drain_s > 0:
            timer = threading.Timer(self._settings.drain_s, super().signal_handler_interrupt)
            timer.daemon = True
            timer.start()
        else:
            super().signal_handler_interrupt()  # type: ignore[no-untyped-call]


def _serve_admin(settings: ServeSettings, stopping: Event) -> None:
    """Serve the admin API, in a process of its own."""
    if settings.admin_port is None:
        raise ValueError("there is no admin port")
    _leave_group(signal.SIGKILL)
    _Server(settings, settings.admin_host, settings.admin_port, 1, stopping).run("admin")


def _load_app(settings: ServeSettings, routes: ServedRoutes, stopping: Event) -> App:
    """Build the application in its worker, which stops on the word of its parent alone."""
    _leave_group(signal.SIGTERM)
    if settings.pins_workers and routes != "admin":
        take_core(settings.sources.data_dir / "cache")
    return make_app(settings, routes, stopping)


def _leave_group(end: signal.Signals) -> None:
    """Leave the process group, whose signals (Ctrl-C) are for the parent: it drains first, then says stop.

    When the parent is gone, the signal ``end`` comes.
    """
    os.setpgrp()
    threading.Thread(target=_stop_with_parent, args=(end,), daemon=True).start()


def _stop_with_parent(end: signal.Signals) -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), end)


def _try_state(settings: ServeSettings, warn: Announce) -> list[str]:
    """Load everything once before any worker does; return the lines to announce.

    What cannot be opened is told here, by one process, and artifacts are fetched once.
    """
    state, watcher = load_state(settings.sources)
    try:
        data_dir = settings.sources.data_dir
        for trouble in _what_is_missing(state, watcher, data_dir):
            warn(trouble)
        url = f"http://{_authority(settings.host, settings.port)}"
        if not settings.is_development:
            return [f"serving {data_dir} at {url}"]
        head = f"serving {data_dir} at {url} (development: everybody is admin)"
        return [head, *example_requests(state, url)]
    finally:
        state.close()


def _what_is_missing(state: State, watcher: Watcher, data_dir: Path) -> Iterator[str]:
    """Yield why no list can be served, if none can; it may still come while the service runs."""
    if not state.tenants:
        yield (
            f"{data_dir}: no tenant yet: recsys tenant create TENANT --data-dir {data_dir}"
            f" (or, for the demo: recsys demo prepare --data-dir {data_dir})"
        )
    elif not any(tenant.snapshots for tenant in state.tenants.values()):
        troubles = [reason for tenant in state.tenants.values() for reason in tenant.failures.values()]
        troubles += [watcher.registry_error] if watcher.registry_error else []
        why = troubles[0] if troubles else "no tenant has a published surface"
        yield f"{data_dir}: nothing can be served yet: {why}"


def _announce_when_up(settings: ServeSettings, lines: list[str], announce: Announce, stopping: Event) -> None:
    """Tell the lines once every port answers."""
    ports = [(settings.host, settings.port)]
    if settings.admin_port is not None:
        ports.append((settings.admin_host, settings.admin_port))
        lines = [*lines, f"admin API at http://{_authority(*ports[-1])}"]
    for host, port in ports:
        # A listener on all addresses of the host answers at loopback too.
        near = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
        while not _answers(f"http://{_authority(near, port)}/livez"):
            if stopping.wait(0.05):
                return
    for line in lines:
        announce(line)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1):  # noqa: S310  our own address
            return True
    except (urllib.error.URLError, OSError):
        return False


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


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ServeError(f"{folder}: cannot be made: {error.strerror}") from error
