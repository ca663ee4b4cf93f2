"""Column mappings: which column of a file stands for which of ours, and how its values are to be read."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Sequence
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from recsys.contracts.errors import UsageError
from recsys.pipelines.input.errors import InputError

TimeUnit = Literal["s", "ms", "us", "ns"]


class ColumnMapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a foreign table is read.

    ``columns`` maps our name to the file's, ``constants`` our name to a value for every row.
    ``timezone`` is the zone of times without one, ``time_unit`` that of times given as numbers since 1970,
    ``tag_separator`` splits tags given as one string.
    """

    columns: dict[str, str] = {}
    constants: dict[str, str] = {}
    timezone: str | None = None
    time_unit: TimeUnit | None = None
    tag_separator: str = "|"

    def source_of(self, name: str) -> str:
        """Return the file's name for our column ``name``; the same one when it is not mapped."""
        return self.columns.get(name, name)

    def check(self, known: Sequence[str]) -> None:
        """Raise :class:`InputError` for a column that we do not have, or a zone that does not exist."""
        for name in (*self.columns, *self.constants):
            if name not in known:
                raise InputError(f"mapping: there is no column {name!r}; ours are {', '.join(known)}")
        both = sorted(self.columns.keys() & self.constants.keys())
        if both:
            raise InputError(f"mapping: {both[0]!r} is given both as a column and as a constant")
        if self.timezone is not None:
            try:
                ZoneInfo(self.timezone)
            except (ZoneInfoNotFoundError, ValueError) as error:
                raise InputError(f"mapping: timezone {self.timezone!r} is not known") from error
        if not self.tag_separator:
            raise InputError("mapping: tag_separator is empty")


def load_mapping(path: Path) -> ColumnMapping:
    """Return the mapping of a TOML file; raises :class:`InputError` naming the file and the field."""
    try:
        return msgspec.toml.decode(path.read_bytes().removeprefix(BOM_UTF8), type=ColumnMapping)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{path}: {error}") from error


def merge_options(
    base: ColumnMapping | None,
    *,
    columns: Sequence[str] = (),
    constants: Sequence[str] = (),
    map_option: str = "--map",
    timezone: str | None = None,
    time_unit: TimeUnit | None = None,
    tag_separator: str | None = None,
) -> ColumnMapping | None:
    """Return ``base`` with command-line options laid over it; ``None`` when there is nothing to map.

    ``columns`` (given as ``map_option``) and ``constants`` are ``NAME=VALUE`` pairs; raises
    :class:`UsageError` for one that is not.
    """
    options = (columns, constants, timezone, time_unit, tag_separator)
    if base is None and not any(options):
        return None
    start = base or ColumnMapping()
    return ColumnMapping(
        columns=start.columns | dict(_pair(map_option, text) for text in columns),
        constants=start.constants | dict(_pair("--set", text) for text in constants),
        timezone=timezone or start.timezone,
        time_unit=time_unit or start.time_unit,
        tag_separator=tag_separator or start.tag_separator,
    )


def _pair(option: str, text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not (name and separator and value):
        raise UsageError(f"{option} {text}: give it as NAME=VALUE")
    return name, value
