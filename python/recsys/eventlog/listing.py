"""What the logs of a data folder consist of."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Literal

from msgspec import Struct

from recsys.eventlog.layout import LOG_KINDS, LogKind, compacted_files, live_parts
from recsys.eventlog.parts import is_closed
from recsys.eventlog.shipping import read_receipt

FileState = Literal["open", "closed", "compacted", "shipped"]


class LogFile(Struct, frozen=True):
    """One file; a part that is not compacted may hold several tenants, surfaces and days."""

    kind: LogKind
    state: FileState
    file: str
    bytes: int
    tenant: str | None = None
    surface: str | None = None
    day: date | None = None


def list_logs(logs: Path, now: float) -> list[LogFile]:
    """Return every file of every log; ``now`` (Unix seconds) tells which parts are still written to."""
    found: list[LogFile] = []
    for kind in LOG_KINDS:
        log = logs / kind
        for partition, path in compacted_files(log):
            state: FileState = "compacted" if read_receipt(path) is None else "shipped"
            found.append(
                LogFile(
                    kind,
                    state,
                    path.relative_to(logs).as_posix(),
                    path.stat().st_size,
                    partition.tenant,
                    partition.surface,
                    partition.day,
                )
            )
        for tenant, path in live_parts(log):
            state = "closed" if is_closed(path, now) else "open"
            found.append(LogFile(kind, state, path.relative_to(logs).as_posix(), path.stat().st_size, tenant))
    return found
