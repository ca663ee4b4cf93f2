"""What one worker serves from: every tenant as it is now, and the log that all of them share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing.synchronize import Event
from pathlib import Path

from msgspec import Struct

from recsys.artifacts.registry import Registry
from recsys.contracts.problems import ProblemCode
from recsys.control.key_uses import KeyUses
from recsys.control.plane import ControlPlane
from recsys.control.serving_view import ServingView
from recsys.control.store import ControlError
from recsys.eventlog.intake import EventIntake
from recsys.eventlog.log import EventLog
from recsys.eventlog.parts import PartWriter
from recsys.eventlog.recent import RecentEvents
from recsys.eventlog.seen import SeenItems
from recsys.service.problems import ProblemError
from recsys.service.tenants import ServedTenant


class Logs(Struct, frozen=True):
    """What a worker writes, and what the workers of a host share of the latest events."""

    exposures: EventLog
    assignments: EventLog
    events: EventIntake
    recent: RecentEvents
    data_dir: Path


def open_logs(data_dir: Path) -> Logs:
    """Return the logs of a data folder; no part is begun before the first line."""
    logs, recent = data_dir / "logs", RecentEvents(data_dir / "cache" / "events")
    return Logs(
        EventLog(PartWriter(logs / "exposures")),
        EventLog(PartWriter(logs / "assignments")),
        EventIntake(logs, recent),
        recent,
        data_dir,
    )


def seen_items(data_dir: Path) -> SeenItems:
    """Return the store of what users have seen; it is made when something is recorded."""
    return SeenItems(data_dir / "cache" / "seen")


class State:
    """The tenants that are served. Requests read ``tenants`` once; a change replaces it by one assignment."""

    def __init__(self, plane: ControlPlane, registry: Registry, logs: Logs) -> None:
        self.plane = plane
        self.registry = registry
        self.exposures = logs.exposures
        self.assignments = logs.assignments
        self.events = logs.events
        self.recent = logs.recent
        self.data_dir = logs.data_dir
        self.seen = seen_items(logs.data_dir)
        self.tenants: Mapping[str, ServedTenant] = {}
        self.generation = 0
        """The change of the store up to which ``tenants`` is compiled."""
        self.view = ServingView(0, {}, {})
        """The store as the worker saw it last; ``tenants`` follow it."""
        self.key_uses = KeyUses()
        self.closing: list[Callable[[], None]] = []
        """What else has to be closed with the state."""
        self.stopping: Event | None = None
        """Set when the worker is about to stop: it answers what it is sent, and is not ready."""

    @property
    def is_stopping(self) -> bool:
        """Whether the worker is about to stop."""
        return self.stopping is not None and self.stopping.is_set()

    def tenant(self, name: str) -> ServedTenant:
        """Return a tenant; raises 404 when there is none of this name."""
        tenant = self.tenants.get(name)
        if tenant is None:
            raise ProblemError(ProblemCode.TENANT_NOT_FOUND, f"there is no tenant {name!r}")
        return tenant

    def close(self) -> None:
        """Close the log parts, the stores, and whatever was put into ``closing``."""
        for close in self.closing:
            close()
        self.exposures.close()
        self.assignments.close()
        self.events.close()
        self.recent.close()
        self.seen.close()
        with suppress(ControlError):  # when a key was used last is no reason not to stop
            self.key_uses.write(self.plane, is_due=True)
        self.plane.close()
