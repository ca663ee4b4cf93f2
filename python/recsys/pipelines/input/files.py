"""Input files: what a path, a folder or a glob stands for; format and compression by name."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from recsys.pipelines.input.errors import InputError

Format = Literal["parquet", "csv", "jsonl"]
Compression = Literal["gzip", "zstd"]

_FORMATS: dict[str, Format] = {".parquet": "parquet", ".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_COMPRESSIONS: dict[str, Compression] = {".gz": "gzip", ".zst": "zstd"}
_READABLE = ".parquet, .csv, .jsonl or .ndjson (the text formats also with .gz or .zst)"


@dataclass(frozen=True)
class InputFile:
    """One file to read. ``size`` is in bytes as stored, so compressed for a compressed file."""

    path: Path
    format: Format
    compression: Compression | None
    size: int


def find_input_files(paths: Sequence[str | Path]) -> list[InputFile]:
    """Return the files that ``paths`` (files, folders, globs) stand for, each once, in order of path.

    A folder stands for every readable file below it; names that start with ``.`` or ``_`` are left out there.
    Raises :class:`InputError` for a path that stands for nothing and for a file of an unknown kind.
    """
    found: dict[Path, InputFile] = {}
    for path in paths:
        for file in _expand(Path(path)):
            found[file.path.resolve()] = file
    return sorted(found.values(), key=lambda file: file.path)


def _expand(path: Path) -> Iterator[InputFile]:
    if path.is_dir():
        below = [file for file in sorted(path.rglob("*")) if file.is_file() and not _is_hidden(file, path)]
        readable = [file for candidate in below if (file := _recognise(candidate)) is not None]
        if not readable:
            raise InputError(f"{path}: no {_READABLE} file in this folder")
        yield from readable
    elif path.is_file():
        file = _recognise(path)
        if file is None:
            raise InputError(f"{path}: the name does not end in {_READABLE}")
        yield file
    elif glob.has_magic(str(path)):
        matches = sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))
        if not matches:
            raise InputError(f"{path}: no file matches")
        for match in matches:
            yield from _expand(Path(match))
    else:
        raise InputError(f"{path}: no such file or folder")


def _is_hidden(file: Path, folder: Path) -> bool:
    return any(part.startswith((".", "_")) for part in file.relative_to(folder).parts)


def _recognise(path: Path) -> InputFile | None:
    compression = _COMPRESSIONS.get(path.suffix.lower())
    inner = path.with_suffix("") if compression else path
    form = _FORMATS.get(inner.suffix.lower())
    if form is None or (form == "parquet" and compression):
        return None
    return InputFile(path, form, compression, path.stat().st_size)
