"""Keeps each worker on a core of its own, so that its threads find their data in one cache."""

from __future__ import annotations

import fcntl
import os
import sys
from pathlib import Path

from recsys.contracts.errors import UsageError


def check_cores(workers: int) -> None:
    """Raise :class:`UsageError` unless every worker can have a core of its own."""
    if sys.platform != "linux":
        raise UsageError("--pin-workers: only Linux keeps a process on a core")
    cores = len(os.sched_getaffinity(0))
    if workers > cores:
        raise UsageError(f"--pin-workers: {workers} workers need as many cores, and there are {cores}")


def take_core(folder: Path) -> int | None:
    """Keep this process, and the threads that it starts from now on, on a core; return which.

    A lock in ``folder``, held until the process ends, tells that a core is taken. ``None``, and nothing is
    changed, when all are.
    """
    for core in sorted(os.sched_getaffinity(0)):
        fd = os.open(folder / f"core-{core}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            continue
        os.sched_setaffinity(0, {core})
        return core
    return None
