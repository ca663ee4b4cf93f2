"""The files of fresh popularity on a host: written by one process, found by every worker.

``cache/fresh/TENANT/SURFACE/KEY/current.json`` names the artifact beside it. The key digests what it was made
for: the release, and the settings by which outcomes count. A pointer holds until a time of its own, so that
popularity that nobody refreshes any more does not stay.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Set
from pathlib import Path

import msgspec
from msgspec import Struct

from recsys.artifacts.atomic_files import write_atomically
from recsys.contracts.config import TenantConfig, fresh_popularity_of
from recsys.ranking.snapshot import FreshArtifact

_POINTER = "current.json"
_KEPT = 3
"""Artifacts that stay beside the pointer: a worker may just be about to open the one before."""


class FreshPointer(Struct, frozen=True):
    """Which artifact counts, as of when, and until when (Unix seconds); no version is none."""

    version: str | None
    as_of_s: float
    valid_until_s: float


Place = tuple[str, str, str]
"""Tenant, surface and key."""


def fresh_key(config: TenantConfig, surface: str, manifest_version: str) -> str | None:
    """Return the key of fresh popularity of a release under a config, ``None`` where it is off."""
    settings = fresh_popularity_of(config, surface)
    if settings is None:
        return None
    parts = msgspec.json.encode(
        (manifest_version, settings, config.pipeline.event_weights), order="deterministic"
    )
    return hashlib.sha256(parts).hexdigest()[:32]


class FreshFiles:
    """Reads and writes the files. Workers :meth:`poll`, and :meth:`find` what was there then."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._clock = clock
        self._read: dict[Path, tuple[int, FreshPointer | None]] = {}
        self._current: dict[Place, FreshArtifact] = {}

    def poll(self) -> bool:
        """Look at every pointer; return whether anything else counts now. Raises nothing."""
        current: dict[Place, FreshArtifact] = {}
        read: dict[Path, tuple[int, FreshPointer | None]] = {}
        for path in self._folder.glob(f"*/*/*/{_POINTER}") if self._folder.is_dir() else ():
            try:
                stamp = path.stat().st_mtime_ns
                held = self._read.get(path)
                read[path] = held if held is not None and held[0] == stamp else (stamp, _load(path))
            except OSError:
                continue  # removed since it was listed
            pointer = read[path][1]
            if pointer is None or pointer.version is None or self._clock() >= pointer.valid_until_s:
                continue
            artifact = FreshArtifact(pointer.version, path.with_name(f"{pointer.version}.rsa"))
            if artifact.path.is_file():
                surface = path.parents[1]
                current[surface.parent.name, surface.name, path.parent.name] = artifact
        before, self._read, self._current = self._current, read, current
        return before != current

    def find(
        self, tenant: str, surface: str, config: TenantConfig, manifest_version: str
    ) -> FreshArtifact | None:
        """Return the popularity that counts for a release under a config."""
        key = fresh_key(config, surface, manifest_version)
        return None if key is None else self._current.get((tenant, surface, key))

    def folder(self, place: Place) -> Path:
        """Return where the files of a place lie."""
        return self._folder.joinpath(*place)

    def publish(self, place: Place, pointer: FreshPointer, made: Path | None) -> None:
        """Move the artifact that was ``made`` to its place, and point at it; raises ``OSError``."""
        folder = self.folder(place)
        folder.mkdir(parents=True, exist_ok=True)
        if made is not None:
            made.replace(folder / f"{pointer.version}.rsa")
        write_atomically(folder / _POINTER, [msgspec.json.encode(pointer)])
        artifacts = sorted(folder.glob("*.rsa"), key=lambda path: path.stat().st_mtime_ns)
        for path in artifacts[:-_KEPT]:
            path.unlink(missing_ok=True)

    def keep_only(self, places: Set[Place]) -> None:
        """Remove what belongs to no place of ``places``."""
        for path in self._folder.glob("*/*/*"):
            if (path.parents[1].name, path.parent.name, path.name) not in places:
                shutil.rmtree(path, ignore_errors=True)


def _load(path: Path) -> FreshPointer | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=FreshPointer)
    except msgspec.MsgspecError:
        return None
