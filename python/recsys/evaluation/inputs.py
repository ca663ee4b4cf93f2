"""The inputs of an evaluation: paths, folders, globs and URLs turned into local files with their digests.

``with open_inputs({"exposures": [...], "outcomes": [...]}) as inputs`` finds the files (their endings are in
``recsys.evaluation.logs``), copies what lies at a URL to a folder that goes with the context, and hashes all
of them in the background; :meth:`Inputs.fingerprint` waits for the digests. Every byte is read for its digest
and its checks in any case, so a copy of a remote object costs one transfer, not two.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from recsys.contracts.errors import EvaluationError
from recsys.contracts.reports import InputFile
from recsys.evaluation.inputs_local import find_files
from recsys.evaluation.inputs_remote import copy_objects, is_url
from recsys.evaluation.logs import ENDINGS
from recsys.evaluation.record_mapping import LogMapping, Mappings

Role = Literal["exposures", "outcomes", "assignments", "ranklists"]
"""The kinds of logs, each named as its option is."""


@dataclass(frozen=True, slots=True)
class Source:
    """One file of a log.

    ``name`` is its path or URL, without credentials; ``path`` is where its bytes are on this machine;
    ``mapping`` says where the fields of its records are, when it has another shape.
    """

    role: Role
    name: str
    path: Path
    mapping: LogMapping | None = None


@dataclass(frozen=True, slots=True)
class Inputs:
    """The files of every role, each once and in order of name."""

    sources: tuple[Source, ...]
    _stats: tuple[tuple[int, int], ...]
    _digests: tuple[Future[str], ...]

    def of(self, role: Role) -> list[Source]:
        """Return the sources of ``role``, none when it was not given."""
        return [source for source in self.sources if source.role == role]

    def paths(self, role: Role) -> list[str]:
        """Return the local paths of ``role``."""
        return [str(source.path) for source in self.of(role)]

    def fingerprint(self) -> list[InputFile]:
        """Return role, name, size and SHA-256 of every source, for a report.

        Call it when everything was read. Raises EvaluationError when a file cannot be read.
        """
        found = []
        for source, (size, _), digest in zip(self.sources, self._stats, self._digests, strict=True):
            try:
                found.append(InputFile(source.role, source.name, size, digest.result()))
            except OSError as error:
                raise EvaluationError(f"{source.role}: {source.name}: {error.strerror}") from error
        return found

    def find_changed(self) -> list[str]:
        """Return the names of the sources that changed since they were opened: their numbers and digests may
        be of different contents.
        """
        return [
            source.name
            for source, stat in zip(self.sources, self._stats, strict=True)
            if not source.path.is_file() or _stat(source.path) != stat
        ]


def fingerprint_file(role: str, path: Path) -> InputFile:
    """Return name, size and SHA-256 of one file that is no log, such as a plan.

    Raises EvaluationError when it cannot be read.
    """
    try:
        return InputFile(role, str(path), path.stat().st_size, _digest(path))
    except OSError as error:
        raise EvaluationError(f"{role}: {path}: {error.strerror}") from error


@contextmanager
def open_inputs(logs: Mapping[Role, Sequence[str]], mappings: Mappings | None = None) -> Iterator[Inputs]:
    """Yield the inputs at ``logs`` (role to files, folders, globs and URLs); copies go with the context.
    ``mappings`` are for logs in another shape.

    Raises EvaluationError naming role and path when nothing is found there, a name has no ending of a log, a
    file or folder may not be read, or an object cannot be fetched.
    """
    with tempfile.TemporaryDirectory(prefix="recsys-eval-") as scratch:
        sources: list[Source] = []
        for role, paths in logs.items():
            mapping = getattr(mappings, role) if mappings else None
            sources += [replace(source, mapping=mapping) for source in _find(role, paths, Path(scratch))]
        stats = tuple(_stat_to_read(source) for source in sources)
        with ThreadPoolExecutor(1) as pool:
            digests = tuple(pool.submit(_digest, source.path) for source in sources)
            try:
                yield Inputs(tuple(sources), stats, digests)
            finally:
                pool.shutdown(wait=True, cancel_futures=True)


def _find(role: Role, paths: Sequence[str], scratch: Path) -> list[Source]:
    if isinstance(paths, str) or not paths:
        raise EvaluationError(f"{role}: give a list of at least one path")
    found: dict[str, Path] = {}
    for path in paths:
        if is_url(path) and not path.startswith("file://"):
            found |= copy_objects(path, role, scratch / role)
            continue
        try:
            files = find_files(path)
        except OSError as error:
            raise EvaluationError(
                f"{role}: {error.filename or path} cannot be read: {error.strerror}"
            ) from error
        if not files:
            raise EvaluationError(f"{role}: no log file at {path} (looked for {', '.join(ENDINGS)})")
        for file in files:
            if not file.endswith(ENDINGS):
                raise EvaluationError(f"{role}: {file} does not end with one of {', '.join(ENDINGS)}")
            found[file] = Path(file)
    # A file that is given by two names, such as its folder and itself, is read once.
    distinct = {path.resolve(): (name, path) for name, path in sorted(found.items(), reverse=True)}
    return sorted((Source(role, name, path) for name, path in distinct.values()), key=lambda s: s.name)


def _stat_to_read(source: Source) -> tuple[int, int]:
    """Return size and time of a source, which is opened to see whether it may be read at all."""
    try:
        with source.path.open("rb") as file:
            stat = os.fstat(file.fileno())
    except OSError as error:
        raise EvaluationError(f"{source.role}: {source.name} cannot be read: {error.strerror}") from error
    return stat.st_size, stat.st_mtime_ns


def _stat(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
