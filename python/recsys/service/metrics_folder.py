"""The folder in which the workers of one service count together, one for each service of a data folder."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from recsys.contracts.errors import RecsysError

_LOCK = "service.lock"


@contextmanager
def metrics_folder(base: Path) -> Iterator[Path]:
    """Make a folder in ``base`` for as long as the context lasts; those of services that are gone go.

    A service holds a lock in its folder, which the system lets go however the service ends. So a second
    service on the same data folder leaves the counts of the first alone.
    """
    try:
        folder, held = _take(base)
    except OSError as error:
        raise RecsysError(f"{error.filename or base}: cannot be written: {error.strerror}") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)


def _take(base: Path) -> tuple[Path, int]:
    base.mkdir(parents=True, exist_ok=True)
    with _locked(base / "folders.lock"):
        for old in base.iterdir():
            if old.is_dir():
                _remove_unless_held(old)
        folder = Path(mkdtemp(prefix="service-", dir=base))
        held = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(held, fcntl.LOCK_EX)
    return folder, held


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _remove_unless_held(folder: Path) -> None:
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    except BlockingIOError:
        pass  # the service of this folder runs
    finally:
        os.close(descriptor)
