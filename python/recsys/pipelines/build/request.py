"""What every build needs to know, and what every build reports."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec

import recsys
from recsys.contracts.errors import BuildError, UsageError
from recsys.pipelines.input.files import InputFile
from recsys.pipelines.input.mapping import ColumnMapping
from recsys.pipelines.input.quarantine import BadRowLimit
from recsys.pipelines.input.reader import MAP_OR_SET

Advance = Callable[[int], None]
"""Told how much more of a stage is done, in bytes of input."""

BeginStage = Callable[[str, int | None], Advance]
"""Told that a stage begins, by name and total (``None``: unknown); returns what advances it."""

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", re.IGNORECASE)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d|w)", re.IGNORECASE)
_UNIT_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 7 * 86_400_000}


def unseen(_name: str, _total: int | None) -> Advance:
    """Begin a stage that nobody watches."""
    return lambda _amount: None


@dataclass(frozen=True)
class BuildInput:
    """Where rows come from and what becomes of bad ones: ``quarantine`` is the file that they go to.

    ``remedy`` is what a file that lacks a column is told to do.
    """

    files: list[InputFile]
    mapping: ColumnMapping | None = None
    limit: BadRowLimit = field(default_factory=BadRowLimit)
    quarantine: Path | None = None
    begin: BeginStage = unseen
    remedy: str = MAP_OR_SET


class Window(msgspec.Struct, frozen=True):
    """First and last moment of the rows that were used."""

    start: datetime
    end: datetime


class BuildReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a build did. ``rows`` counts all rows read; ``bad``, ``unknown_items``, ``other`` were not used.

    ``other`` rows belong to another tenant or surface than was asked for, or have weight zero.
    """

    kind: str
    path: str
    sha256: str
    bytes: int
    rows: int
    bad: int = 0
    unknown_items: int = 0
    other: int = 0
    heavy_sessions: int = 0
    quarantine: str | None = None
    window: Window | None = None


def refuse_overwriting(out: Path, inputs: Iterable[Path]) -> None:
    """Raise :class:`BuildError` when ``out`` is one of ``inputs``: what a build reads is never lost to it."""
    if out.exists() and any(path.exists() and out.samefile(path) for path in inputs):
        raise BuildError(f"--out {out}: this file is an input of the build; give another name")


def window_of(first_ms: int | None, last_ms: int | None) -> Window | None:
    """Return the window between two times in Unix milliseconds, ``None`` without rows."""
    if first_ms is None or last_ms is None:
        return None
    return Window(datetime.fromtimestamp(first_ms / 1000, UTC), datetime.fromtimestamp(last_ms / 1000, UTC))


def metadata_of(params: dict[str, object], *, window: Window | None, rows: int) -> str:
    """Return an artifact's metadata block. It holds no clock, so that the same input gives the same bytes."""
    build = {"version": recsys.__version__}
    block: dict[str, object] = {"build": build, "params": params, "input": {"rows": rows}}
    if window is not None:
        block["window"] = window
    return msgspec.json.encode(block, order="sorted").decode()


_LONGEST_MS = 36_500 * 86_400_000.0


def parse_size(text: str) -> int:
    """Return the bytes that ``512M`` or ``1.5G`` stands for (powers of 1024); raises :class:`UsageError`."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{text!r} is not a size: give bytes, or a number with K, M, G or T such as 512M")
    return int(float(match[1]) * 1024 ** " KMGT".index(match[2].upper() or " "))


def parse_duration(text: str) -> float:
    """Return the milliseconds of ``90s``, ``30m``, ``12h``, ``14d`` or ``4w``; raises :class:`UsageError`."""
    match = _DURATION.fullmatch(text.strip())
    if match is None or float(match[1]) == 0:
        raise UsageError(f"{text!r} is not a duration: give a number with s, m, h, d or w such as 14d")
    found = float(match[1]) * _UNIT_MS[match[2].lower()]
    if found > _LONGEST_MS:
        raise UsageError(f"{text!r}: the longest duration is 36500d")
    return found
