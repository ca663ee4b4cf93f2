"""Whether an LMDB file has lost its end: reading a page that is missing would kill the process (SIGBUS)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import lmdb

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
    if (Path(folder) / "data.mdb").stat().st_size >= pages * page_bytes:
        return False
    command = [sys.executable, "-c", _READ_ALL, folder]
    done = subprocess.run(command, capture_output=True, timeout=READ_TIMEOUT_S, check=False)
    return done.returncode != 0
