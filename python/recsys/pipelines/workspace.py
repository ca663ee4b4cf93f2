"""Where a pipeline keeps its work for one (tenant, surface), and what it remembers from run to run.

::

    canonical/day=2026-01-31.parquet    the interactions of a day (UTC), each once, in order
    build/<kind>.rsa                    the artifacts that were built last
    checkpoints.json                    what each of them was made from
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from urllib.parse import quote

import msgspec
from msgspec import Struct

from recsys.artifacts.atomic_files import TEMPORARY, exclusive_lock, write_atomically
from recsys.contracts.documents import canonical_json, version_of
from recsys.contracts.errors import RecsysError

_SOURCE_AGE_S = 86_400
"""Copies of a source that are this old belong to no run."""


class PipelineError(RecsysError):
    """A stage that cannot run: something that it needs is missing, or somebody else is at it."""


class DayCheckpoint(Struct, frozen=True):
    """A day that was ingested: ``source`` names the input, ``sha256`` the file, empty without rows.

    ``is_partial``: the day was not over yet when its input was read, so more of it is to come.
    """

    source: str
    sha256: str
    rows: int
    duplicates: int
    is_partial: bool = False


class BuildCheckpoint(Struct, frozen=True):
    """An artifact that was built: ``source`` names days, catalog and settings.

    ``first`` and ``last`` are the days that it was built from; a catalog has none.
    """

    source: str
    sha256: str
    first: date | None = None
    last: date | None = None


class Checkpoints(Struct, frozen=True):
    """What the files of a workspace were made from, by day and by kind."""

    days: dict[str, DayCheckpoint] = {}
    builds: dict[str, BuildCheckpoint] = {}


class Workspace:
    """The folder of one (tenant, surface)."""

    def __init__(self, data_dir: Path, tenant: str, surface: str) -> None:
        self.tenant = tenant
        self.surface = surface
        self.folder = data_dir / "pipeline" / quote(tenant, safe="") / quote(surface, safe="")

    def day_file(self, day: date) -> Path:
        """The canonical file of a day; a day without rows has none."""
        return self.folder / "canonical" / f"day={day.isoformat()}.parquet"

    def artifact(self, kind: str) -> Path:
        """The artifact that was built last."""
        return self.folder / "build" / f"{kind}.rsa"

    @contextmanager
    def running(self) -> Iterator[None]:
        """Hold the workspace for a run of several stages, so that none builds on another run's days."""
        with exclusive_lock(self.folder / ".run.lock"):
            yield

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the workspace for one stage; another stage waits."""
        with exclusive_lock(self.folder / ".lock"):
            self._sweep()
            yield

    def _sweep(self) -> None:
        """Remove what killed runs have left; called by the one that holds the workspace."""
        left = [*self.folder.glob(".ingest-*"), *self.folder.glob(f"build/{TEMPORARY}*")]
        left += self.folder.glob("build/.build-*")
        old = time.time() - _SOURCE_AGE_S
        left += [path for path in self.folder.glob(".source-*") if path.stat().st_mtime < old]
        for path in left:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()

    def checkpoints(self) -> Checkpoints:
        """Return what is remembered; raises :class:`PipelineError` for a damaged file."""
        path = self.folder / "checkpoints.json"
        try:
            return msgspec.json.decode(path.read_bytes(), type=Checkpoints)
        except FileNotFoundError:
            return Checkpoints()
        except msgspec.MsgspecError as error:
            raise PipelineError(f"{path}: {error}; remove it to start afresh") from error

    def remember(self, checkpoints: Checkpoints) -> None:
        """Keep checkpoints, durably."""
        encoded = msgspec.json.format(canonical_json(checkpoints))
        write_atomically(self.folder / "checkpoints.json", [encoded, b"\n"])

    def days(self, first: date, last: date) -> dict[date, DayCheckpoint]:
        """Return the ingested days of a range, in order."""
        known = self.checkpoints().days
        return {day: known[str(day)] for day in days_between(first, last) if str(day) in known}


def days_between(first: date, last: date) -> list[date]:
    """Return the days from ``first`` to ``last``, both included."""
    if last < first:
        raise PipelineError(f"--from {first} is after --to {last}")
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def source_of(*parts: object) -> str:
    """Return a name for what something is made from: a hex SHA-256 of plain values and structs."""
    return version_of(canonical_json(parts))


def file_digest(path: Path) -> str:
    """Return the hex SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
