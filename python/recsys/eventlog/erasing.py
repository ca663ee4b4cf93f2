"""Removing the records of one user from live parts, while other processes write to the log.

Writers are asked to go on to new parts first, and given the time to. Then each part that was there is
replaced as a whole by one without the user's lines, by rename. A line that still came to the old file
after it was replaced (its writer had stood still for seconds in between) is found there and written again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import msgspec
from msgspec import Struct

from recsys.eventlog import journal
from recsys.eventlog.layout import LOG_KINDS, live_parts
from recsys.eventlog.parts import ROTATED_AFTER_S, PartWriter, ask_to_rotate
from recsys.eventlog.retention import Erased


class _Context(Struct, frozen=True):
    tenant_id: str | None = None


class _Owned(Struct, frozen=True):
    user_id: str
    context: _Context | None = None


_DECODER = msgspec.json.Decoder(_Owned)


def erase_live(
    logs: Path, tenant: str, pseudonym: str, *, sleep: Callable[[float], None] = time.sleep
) -> Erased:
    """Remove every record of a user of a tenant from the parts that are there now; return how many.

    Takes a few seconds when there is one. Other lines are kept as they stand, also when this process is
    killed at any moment; running it again does the rest. Raises ``RecsysError`` while another process
    compacts the log.
    """
    records = files = 0
    with ExitStack() as held:
        parts: list[tuple[str | None, Path]] = []
        for log in (logs / kind for kind in LOG_KINDS):
            if log.is_dir():
                held.enter_context(journal.exclusive(log))
                journal.recover(log)
                parts += [one for one in live_parts(log) if one[0] in (None, tenant)]
        if not any(pseudonym.encode() in part.read_bytes() for _, part in parts):
            return Erased()
        for folder in {part.parent for _, part in parts}:
            ask_to_rotate(folder)
        sleep(ROTATED_AFTER_S)
        replaced: list[tuple[Path, int, int]] = []
        try:
            for _, part in parts:
                # Opened before it is replaced, so that what comes to it afterwards can be seen.
                descriptor = os.open(part, os.O_RDONLY | os.O_CLOEXEC)
                data = _read(descriptor)
                lines = data.splitlines(keepends=True)
                rest = [line for line in lines if not _is_of(line, tenant, pseudonym)]
                if len(rest) == len(lines):
                    os.close(descriptor)
                    continue
                replaced.append((part, descriptor, len(data)))
                mode = os.fstat(descriptor).st_mode & 0o777
                journal.write_durably(part, b"".join(rest), mode=mode)
                records += len(lines) - len(rest)
                files += 1
            if replaced:
                sleep(ROTATED_AFTER_S)
            for part, descriptor, size in replaced:
                _write_late_lines(part, _read(descriptor)[size:], tenant, pseudonym)
        finally:
            for _, descriptor, _ in replaced:
                os.close(descriptor)
    return Erased(records, files)


def _is_of(line: bytes, tenant: str, pseudonym: str) -> bool:
    if pseudonym.encode() not in line:
        return False
    try:
        record = _DECODER.decode(line)
    except msgspec.MsgspecError:
        return True  # a torn line that names the user
    is_other = record.context is not None and record.context.tenant_id not in (None, tenant)
    return record.user_id == pseudonym and not is_other


def _write_late_lines(part: Path, late: bytes, tenant: str, pseudonym: str) -> None:
    writer = PartWriter(part.parent)
    for line in late.splitlines(keepends=True):
        if not _is_of(line, tenant, pseudonym):
            writer.append(line)
    writer.close()


def _read(descriptor: int) -> bytes:
    size = os.fstat(descriptor).st_size
    return os.pread(descriptor, size, 0)
