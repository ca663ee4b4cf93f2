"""Reading JSON artifacts entry by entry, so that a document of any size takes the memory of one entry."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import ijson
import msgspec

from recsys.contracts.errors import ArtifactError
from recsys.contracts.interchange import (
    ENTRIES,
    MAX_EXACT_INTEGER,
    Entry,
    InterchangeHeader,
)

_MAX_DEPTH = 8
_MAX_HEADER_EVENTS = 1_000
_PAYLOADS = frozenset(payload for payload, _ in ENTRIES.values())


class JsonArtifact:
    """A JSON artifact in a file, checked as a whole; ``name`` is how errors call it."""

    def __init__(self, path: Path, name: str | None = None) -> None:
        """Read the document once.

        Raises :class:`ArtifactError` when it is not JSON, or when anything but its entries is wrong.
        """
        self.path = path
        self.name = name or str(path)
        self.header = self._read_header()

    def entries(self) -> Iterator[Entry]:
        """Yield the entries in their order; raises :class:`ArtifactError` naming the entry that is wrong."""
        payload, entry_type = ENTRIES[self.header.artifact_type]
        with self._parsing(), self.path.open("rb") as file:
            for index, value in enumerate(ijson.items(file, f"{payload}.item", use_float=True)):
                try:
                    entry = msgspec.convert(value, entry_type)
                except msgspec.ValidationError as error:
                    raise ArtifactError(f"{self.name}: {payload}[{index}]: {error}") from error
                _refuse_inexact(value, f"{self.name}: {payload}[{index}]")
                yield entry

    def _read_header(self) -> InterchangeHeader:
        """Walk over all tokens, keep those outside of the entries, and refuse what is nested too deep."""
        outside: list[tuple[str, object]] = []
        found: list[str] = []
        depth = 0
        key = ""
        with self._parsing(), self.path.open("rb") as file:
            for event, value in ijson.basic_parse(file, use_float=True):
                if event in ("end_map", "end_array"):
                    depth -= 1
                if depth == 1 and event == "map_key":
                    key = value
                    if key in found:
                        raise ArtifactError(f"{self.name}: {key!r} comes twice")
                    found.append(key)
                is_payload = depth >= 1 and key in _PAYLOADS and not (depth == 1 and event == "end_map")
                if is_payload and depth == 1 and event not in ("map_key", "start_array", "end_array"):
                    raise ArtifactError(f"{self.name}: {key!r} is not an array")
                if not is_payload:
                    outside.append((event, value))
                if event in ("start_map", "start_array"):
                    depth += 1
                if depth > _MAX_DEPTH or len(outside) > _MAX_HEADER_EVENTS:
                    raise ArtifactError(
                        f"{self.name}: not an artifact: nested too deep, or too much beside the entries"
                    )
        builder = ijson.ObjectBuilder()
        for event, value in outside:
            builder.event(event, value)
        try:
            header = msgspec.convert(getattr(builder, "value", None), InterchangeHeader)
        except msgspec.ValidationError as error:
            raise ArtifactError(f"{self.name}: {error}") from error
        payload, _ = ENTRIES[header.artifact_type]
        present = [key for key in found if key in _PAYLOADS]
        if present != [payload]:
            where = ", ".join(present) or "nothing"
            raise ArtifactError(
                f"{self.name}: a {header.artifact_type} has its entries in {payload!r}, not in {where}"
            )
        return header

    @contextmanager
    def _parsing(self) -> Iterator[None]:
        try:
            yield
        except ijson.JSONError as error:
            text = error.args[0] if error.args else error
            line = text.decode(errors="replace") if isinstance(text, bytes) else str(text)
            raise ArtifactError(f"{self.name}: not JSON: {line.splitlines()[0]}") from error


def is_json_artifact(path: Path) -> bool:
    """Tell whether a file is a JSON object rather than one of our binary artifacts, by its first bytes."""
    with path.open("rb") as file:
        return file.read(64).lstrip()[:1] == b"{"


def _refuse_inexact(value: object, place: str) -> None:
    if isinstance(value, int) and abs(value) > MAX_EXACT_INTEGER:
        raise ArtifactError(f"{place}: {value} is beyond 2^53, and cannot be kept exactly")
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for part in inner:
        _refuse_inexact(part, place)
