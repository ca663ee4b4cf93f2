"""A log of event records that never stops its process: a line that cannot be written is counted instead."""

from __future__ import annotations

import tempfile

import msgspec

from recsys.contracts.records import Assignment, Exposure, Outcome
from recsys.eventlog.parts import PartWriter

_PROBE_BYTES = 4096

Record = Exposure | Outcome | Assignment


class EventLog:
    """Encodes records as JSON Lines and appends them to parts."""

    def __init__(self, parts: PartWriter) -> None:
        self._parts = parts
        self._encoder = msgspec.json.Encoder()
        self._line = bytearray(4096)
        self.failures = 0
        """Records that could not be written since the start."""
        self.last_error: str | None = None
        """Why the latest record could not be written, or ``None`` when it was."""

    def append(self, record: Record) -> bool:
        """Write one record and return whether its whole line reached the file."""
        self._encoder.encode_into(record, self._line)
        self._line += b"\n"
        return self.append_line(bytes(self._line))

    def append_line(self, line: bytes) -> bool:
        """As :meth:`append`, for a record that is encoded already: one line of JSON, newline and all."""
        try:
            self._parts.append(line)
        except OSError as error:
            self.failures += 1
            self.last_error = f"{self._parts.folder}: {error.strerror or error}"
            return False
        self.last_error = None
        return True

    def probe(self) -> None:
        """After a failure, forget it if the folder takes a block again.

        A process that is not ready gets no requests, so it must not wait for one to learn that the disk has
        room.
        """
        if self.last_error is None:
            return
        try:
            self._parts.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self._parts.folder, buffering=0) as file:
                written = file.write(bytes(_PROBE_BYTES))
        except OSError:
            return
        if written == _PROBE_BYTES:
            self.last_error = None

    def close(self) -> None:
        """Close the current part."""
        self._parts.close()
