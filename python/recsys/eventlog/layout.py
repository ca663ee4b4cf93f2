"""Where log records lie: live parts at the top of each log, compacted files by tenant, surface and day.

``LOG/*.jsonl`` and ``LOG/tenant=T/*.jsonl`` are live parts, the second from events (an outcome does not name
its tenant, so its folder does). Compacted records are in
``LOG/tenant=T/surface=S/day=2026-01-31/NAME.parquet``; days are those of ``ts`` in UTC. Names are
percent-encoded.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Literal
from urllib.parse import quote, unquote

from msgspec import Struct

from recsys.contracts.records import Assignment, Exposure, Outcome
from recsys.eventlog.parts import PART_SUFFIX

LogKind = Literal["exposures", "assignments", "outcomes"]
LOG_KINDS: tuple[LogKind, ...] = ("exposures", "assignments", "outcomes")
"""In the order of compaction: the surface of an outcome is that of its exposure."""

RECORD_TYPES: dict[LogKind, type[Exposure] | type[Assignment] | type[Outcome]] = {
    "exposures": Exposure,
    "assignments": Assignment,
    "outcomes": Outcome,
}
UNKNOWN = "_unknown"
COMPACTED_SUFFIX = ".parquet"
BAD_FOLDER = "bad"
"""Beside the journal: lines that compaction could not read."""


class Partition(Struct, frozen=True, order=True):
    """The records of one tenant and surface of one day."""

    tenant: str
    surface: str
    day: date

    @property
    def path(self) -> str:
        """The folder, relative to the log's."""
        return (
            f"{tenant_folder(self.tenant)}/surface={quote(self.surface, safe='')}/day={self.day.isoformat()}"
        )


def tenant_folder(tenant: str) -> str:
    """Return the name of a tenant's folder in a log."""
    return f"tenant={quote(tenant, safe='')}"


def partition_of(folder: str) -> Partition:
    """Return the partition of a relative folder; raises ``ValueError`` when it is none."""
    values = dict(part.partition("=")[::2] for part in folder.split("/"))
    if list(values) != ["tenant", "surface", "day"]:
        raise ValueError(folder)
    return Partition(unquote(values["tenant"]), unquote(values["surface"]), date.fromisoformat(values["day"]))


def live_parts(log: Path) -> Iterator[tuple[str | None, Path]]:
    """Yield the live parts of a log, oldest first, each with the tenant of its folder if it is in one."""
    found: list[tuple[str | None, Path]] = [(None, path) for path in log.glob(f"*{PART_SUFFIX}")]
    found += [
        (unquote(path.parent.name.partition("=")[2]), path) for path in log.glob(f"tenant=*/*{PART_SUFFIX}")
    ]
    yield from sorted(found, key=lambda one: (one[1].name, one[0] or ""))


def compacted_files(log: Path) -> Iterator[tuple[Partition, Path]]:
    """Yield the compacted files of a log by partition and name."""
    found = [
        (partition_of(path.parent.relative_to(log).as_posix()), path)
        for path in log.glob(f"tenant=*/surface=*/day=*/*{COMPACTED_SUFFIX}")
    ]
    yield from sorted(found)
