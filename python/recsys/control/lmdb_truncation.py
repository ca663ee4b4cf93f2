"""Whether an LMDB file has lost its end: reading a page that is missing would kill the process (SIGBUS)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import lmdb

from recsys.control.store import CorruptStoreError

DATA_FILE = "data.mdb"
READ_TIMEOUT_S = 600.0

_READ_ALL = """
import os, sys, lmdb
environment = lmdb.open(sys.argv[1], readonly=True, lock=False, max_dbs=64)
environment.copyfd(os.open(os.devnull, os.O_WRONLY), compact=True)
"""


def is_truncated(environment: lmdb.Environment) -> bool:
    """Return whether a page that is in use lies past the end of the file.

    Nearly always the sizes tell. A sound file may be shorter than its last page number says, though: pages
    that one change takes and gives back are never written. Then a child process reads all pages in use, and
    it is the child that dies if one is missing.
    """
    # In this order: a writer extends the file before it tells of the new pages.
    pages = int(environment.info()["last_pgno"]) + 1
    page_bytes = int(environment.stat()["psize"])
    folder = environment.path()
    if (Path(folder) / DATA_FILE).stat().st_size >= pages * page_bytes:
        return False
    command = [sys.executable, "-c", _READ_ALL, folder]
    done = subprocess.run(command, capture_output=True, timeout=READ_TIMEOUT_S, check=False)
    return done.returncode != 0


class SizeWatch:
    """Looks, before each transaction, whether the file became smaller while it was open.

    LMDB never shrinks its file, so somebody else did. What a transaction reads that was cut off while it ran
    still kills the process.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._bytes = file.stat().st_size

    def check(self) -> None:
        """Raise :class:`CorruptStoreError` if the file was cut, or another took its place; costs 1 us."""
        known = self._bytes
        try:
            size = self._file.stat().st_size
        except OSError as error:
            raise CorruptStoreError(f"{self._file}: gone while it was in use: {error.strerror}") from error
        if size < known:
            raise CorruptStoreError(
                f"{self._file}: {size} bytes, {known} before: truncated or replaced while it was in use; "
                "stop the service and restore the store from a backup"
            )
        if size > known:
            self._bytes = size
