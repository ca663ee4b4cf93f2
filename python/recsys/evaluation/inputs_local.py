"""The files that a path on this machine stands for: one file, those of a folder, or those of a glob.

A folder that may not be read is an error, never one without files: logs that are left out in silence would
change every number.
"""

from __future__ import annotations

import glob
import os
import stat
from errno import EACCES
from pathlib import Path
from urllib.parse import unquote, urlsplit

from recsys.evaluation.logs import ENDINGS


def find_files(path: str) -> list[str]:
    """Return the files at ``path``, none when there are none; of a folder those with the ending of a log.

    Raises OSError, with the name of the folder, for one that may not be read.
    """
    if path.startswith("file://"):
        path = unquote(urlsplit(path).path)
    if glob.has_magic(path) and not os.path.lexists(path):
        _refuse_closed_folders(Path(path))
        matches = glob.glob(path, recursive=True)  # noqa: PTH207 - an absolute pattern is allowed
        return [file for file in matches if Path(file).is_file()]
    try:
        # Not `is_dir`: from Python 3.14 on it takes what may not be read for nothing.
        mode = Path(path).stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return []
    if stat.S_ISDIR(mode):
        return _files_below(Path(path))
    return [path] if stat.S_ISREG(mode) else []


def _files_below(root: Path) -> list[str]:
    """Return the logs below a folder; ``.`` or ``_`` in front of a name marks those of tools and unfinished
    copies.
    """
    found: list[str] = []
    for folder, folders, names in os.walk(root, onerror=_refuse):
        folders[:] = [name for name in folders if not name.startswith((".", "_"))]
        found += [
            str(Path(folder, name))
            for name in names
            if name.endswith(ENDINGS) and not name.startswith((".", "_")) and Path(folder, name).is_file()
        ]
    return found


def _refuse(error: OSError) -> None:
    raise error


def _refuse_closed_folders(pattern: Path) -> None:
    """Raise for a folder that ``pattern`` leads through and that ``glob`` would pass over in silence."""
    parts = pattern.parts
    first = next(place for place, part in enumerate(parts) if glob.has_magic(part))
    for place in range(first, len(parts)):
        # To list a folder takes more than to pass through it.
        needed = os.R_OK | os.X_OK if glob.has_magic(parts[place]) else os.X_OK
        before = str(Path(*parts[:place])) if place else "."
        for match in glob.glob(before, recursive=True):  # noqa: PTH207 - as above
            if Path(match).is_dir() and not os.access(match, needed):
                raise PermissionError(EACCES, os.strerror(EACCES), match)
