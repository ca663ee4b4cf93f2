"""What a drill acts on: it injects, detects and recovers, and the stage keeps the time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct

from recsys.contracts.errors import RecsysError
from recsys.pilot.commands import CommandError, run_command
from recsys.pilot.drills.scratch import SURFACE, TENANT, Scratch
from recsys.pilot.service_process import ServiceProcess

TIMEOUT_S = 30.0
POLL_S = 0.05


class DrillError(RecsysError):
    """A drill that did not go as its runbook says; the message names the step."""


class DrillRecord(Struct, frozen=True, kw_only=True):
    """``drill.v1``: what was broken, how long until it was seen, and until it was well again (seconds)."""

    v: int = 1
    drill: str
    title: str
    at: datetime
    passed: bool
    detected_s: float = 0.0
    recovered_s: float = 0.0
    fault: str = ""
    signal: str = ""
    steps: list[str] = []
    runbook: str = ""
    detail: str = ""


class Stage:
    """The scratch copy, the services that run on it, and the clock."""

    def __init__(self, folder: Path) -> None:
        self.scratch = Scratch(folder)
        self.fault = ""
        self.signal = ""
        self.steps: list[str] = []
        self.detected_s = 0.0
        self.recovered_s = 0.0
        self._injected_at = 0.0
        self._services: list[ServiceProcess] = []

    @property
    def data_dir(self) -> Path:
        """The data folder of the scratch copy."""
        return self.scratch.data_dir

    def serve(self, *options: str) -> ServiceProcess:
        """Start a service in development mode; the stage stops it at its end."""
        service = ServiceProcess(self.data_dir, ["--dev", *options])
        self._services.append(service)
        return service

    def serve_without_development(self) -> ServiceProcess:
        """Start a service as in production, which does not refuse to start with nothing to serve."""
        service = ServiceProcess(self.data_dir, ["--drain", "0"])
        self._services.append(service)
        return service

    def close(self) -> None:
        """Stop every service."""
        for service in self._services:
            service.stop()
        self._services.clear()

    def inject(self, fault: str, action: Callable[[], object]) -> None:
        """Break something; the time to detect counts from here."""
        self.fault = fault
        self._injected_at = time.monotonic()
        action()

    def detect(self, signal: str, condition: Callable[[], bool]) -> None:
        """Wait for what on-call would see."""
        self.signal = signal
        self.wait(f"the signal did not come: {signal}", condition)
        self.detected_s = time.monotonic() - self._injected_at

    def recover(self, action: Callable[[], object], condition: Callable[[], bool], step: str = "") -> None:
        """Follow the runbook; the time to recover counts from its first step."""
        began = time.monotonic()
        if step:
            self.steps.append(step)
        action()
        self.wait("it did not become well again", condition)
        self.recovered_s = time.monotonic() - began

    def command(self, *arguments: str, codes: Sequence[int] = (0,)) -> str:
        """Run a ``recsys`` command on the scratch copy, as a runbook says, and return what it prints.

        Raises :class:`DrillError` when it exits with none of ``codes``.
        """
        shown = " ".join(argument.replace(str(self.scratch.folder), "…") for argument in arguments)
        self.steps.append(f"recsys {shown}")
        try:
            return run_command(*arguments, codes=codes)
        except CommandError as error:
            raise DrillError(f"recsys {shown} {error.trouble}") from error

    def wait(self, trouble: str, condition: Callable[[], bool]) -> None:
        """Wait until a condition holds; :class:`DrillError` with ``trouble`` when it takes too long."""
        end = time.monotonic() + TIMEOUT_S
        while not condition():
            if time.monotonic() >= end:
                raise DrillError(f"{trouble} (within {TIMEOUT_S:g} s)")
            time.sleep(POLL_S)


def list_of(service: ServiceProcess, user: str = "u-1") -> list[str]:
    """Return the item ids of one list; empty when there is none, whatever the reason."""
    answer = service.post(
        "/v1/recommend",
        {"surface": SURFACE, "segment": "default", "k": 10, "user": {"user_id": user}},
        x_org_id=TENANT,
    )
    document = answer.json() if answer.status == 200 else {}
    items = document.get("items", []) if isinstance(document, dict) else []
    return [str(item["item_id"]) for item in items]


def component(service: ServiceProcess, name: str) -> bool | None:
    """Return whether a component of ``/readyz`` is well, ``None`` when it is not told of."""
    document = service.get("/readyz").json()
    components = document.get("components", []) if isinstance(document, dict) else []
    return next((bool(one["ok"]) for one in components if one["name"] == name), None)


def now() -> datetime:
    """Return the time of this host, in UTC."""
    return datetime.now(UTC)
