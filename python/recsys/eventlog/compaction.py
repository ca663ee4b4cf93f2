"""Closed log parts become Parquet, zstd-compressed, by tenant, surface and day; each record once.

Parts are taken in batches of bounded size. Lines that are no record are kept beside, in ``.compaction/bad``,
and counted. Outcomes that are equal in content are one, as evaluation counts them.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pyarrow.parquet as pq
from msgspec import Struct

from recsys.contracts.patterns import fits_file_name
from recsys.contracts.records import Assignment, Exposure, Outcome
from recsys.eventlog import journal
from recsys.eventlog.columns import to_table
from recsys.eventlog.layout import (
    BAD_FOLDER,
    COMPACTED_SUFFIX,
    LOG_KINDS,
    RECORD_TYPES,
    UNKNOWN,
    LogKind,
    Partition,
    live_parts,
)
from recsys.eventlog.parts import is_closed
from recsys.eventlog.surfaces import find_surfaces

BATCH_BYTES = 128 * 1024 * 1024
"""Most bytes of parts that are in memory at once, as lines; as objects they take several times that."""

Record = dict[str, object]


class Compacted(Struct, frozen=True):
    """What one run did to one log; ``bad_lines`` were kept aside."""

    kind: LogKind
    parts: int
    records: int
    duplicates: int
    bad_lines: int
    files: int


def compact_logs(logs: Path, *, now: float, kinds: Sequence[LogKind] = LOG_KINDS) -> list[Compacted]:
    """Compact every closed part below ``logs``; ``now`` (Unix seconds) tells which parts are closed.

    Safe to stop at any moment: the next run finishes what was committed and does the rest anew.
    """
    return [_compact(logs, kind, now) for kind in LOG_KINDS if kind in kinds and (logs / kind).is_dir()]


def _compact(logs: Path, kind: LogKind, now: float) -> Compacted:
    log = logs / kind
    with journal.exclusive(log):
        journal.recover(log)
        done = Compacted(kind, 0, 0, 0, 0, 0)
        for batch in _batches(log, now):
            one = _Batch(logs, kind, batch).write()
            added = (getattr(done, name) + getattr(one, name) for name in Compacted.__struct_fields__[1:])
            done = Compacted(kind, *added)
        return done


def _batches(log: Path, now: float) -> Iterator[list[tuple[str | None, Path]]]:
    batch: list[tuple[str | None, Path]] = []
    size = 0
    for tenant, part in live_parts(log):
        if not is_closed(part, now):
            continue
        n_bytes = part.stat().st_size
        if batch and size + n_bytes > BATCH_BYTES:
            yield batch
            batch, size = [], 0
        batch.append((tenant, part))
        size += n_bytes
    if batch:
        yield batch


class _Batch:
    """Some parts on their way into partitions."""

    def __init__(self, logs: Path, kind: LogKind, parts: list[tuple[str | None, Path]]) -> None:
        self._logs = logs
        self._log = logs / kind
        self._kind = kind
        self._parts = parts
        names = "\n".join(str(part.relative_to(self._log)) for _, part in parts)
        # Named by what it holds, so that the same parts give the same names.
        self._name = f"{parts[0][1].name.split('Z-')[0]}Z-{hashlib.sha256(names.encode()).hexdigest()[:16]}"
        self._bad: list[bytes] = []
        self._seen: set[bytes] = set()
        self._duplicates = 0

    def write(self) -> Compacted:
        groups: defaultdict[Partition, list[Record]] = defaultdict(list)
        for tenant, records in self._by_tenant().items():
            surfaces = self._surfaces(tenant, records)
            for record in records:
                groups[self._partition(tenant, record, surfaces)].append(record)
        renames: dict[str, str] = {}
        for partition, records in sorted(groups.items()):
            folder = self._log / partition.path
            folder.mkdir(parents=True, exist_ok=True)
            final = folder / f"{self._name}{COMPACTED_SUFFIX}"
            temporary = folder / f".{self._name}{journal.TEMPORARY_SUFFIX}"
            records.sort(key=lambda record: (record["ts"], record["request_id"]))
            with temporary.open("wb") as file:
                pq.write_table(to_table(self._kind, records), file, compression="zstd")
                file.flush()
                os.fsync(file.fileno())
            renames[str(temporary.relative_to(self._log))] = str(final.relative_to(self._log))
        if self._bad:
            bad = self._log / journal.FOLDER / BAD_FOLDER
            bad.mkdir(exist_ok=True)
            journal.write_durably(bad / f"{self._name}.lines", b"".join(self._bad))
        sources = [str(part.relative_to(self._log)) for _, part in self._parts]
        journal.commit(self._log, self._name, journal.Entry(renames, sources))
        n_records = sum(map(len, groups.values()))
        return Compacted(
            self._kind, len(self._parts), n_records, self._duplicates, len(self._bad), len(renames)
        )

    def _by_tenant(self) -> dict[str, list[Record]]:
        """Return the sound records by tenant."""
        tenants: defaultdict[str, list[Record]] = defaultdict(list)
        for tenant, part in self._parts:
            with part.open("rb") as lines:
                for line in lines:
                    record = self._decode(line, tenant)
                    if record is not None:
                        tenants[tenant or _context_of(record).get("tenant_id") or UNKNOWN].append(record)
        return tenants

    def _decode(self, line: bytes, tenant: str | None) -> Record | None:
        try:
            if not line.endswith(b"\n"):
                raise msgspec.DecodeError("torn")
            checked: Exposure | Assignment | Outcome = _DECODERS[self._kind].decode(line)
        except msgspec.MsgspecError:
            self._bad.append(line if line.endswith(b"\n") else line + b"\n")
            return None
        if self._kind == "outcomes":
            digest = hashlib.blake2b(f"{tenant}\0".encode() + line, digest_size=16).digest()
            if digest in self._seen:
                self._duplicates += 1
                return None
            self._seen.add(digest)
        # Items may have keys that the record type does not know, so the line is what is kept.
        record: Record = msgspec.json.decode(line)
        record["ts"] = checked.ts.astimezone(UTC)
        return record

    def _surfaces(self, tenant: str, records: list[Record]) -> dict[str, str]:
        if self._kind != "outcomes":
            return {}
        days = {_moment(record).date() for record in records}
        return find_surfaces(
            self._logs / "exposures", tenant, (str(record["request_id"]) for record in records), days
        )

    def _partition(self, tenant: str, record: Record, surfaces: dict[str, str]) -> Partition:
        surface = surfaces.get(str(record["request_id"])) or _context_of(record).get("surface") or UNKNOWN
        # A client's exposure may have named any; what no folder can be called by must not stop the others.
        return Partition(tenant, surface if fits_file_name(surface) else UNKNOWN, _moment(record).date())


_DECODERS = {kind: msgspec.json.Decoder(record) for kind, record in RECORD_TYPES.items()}


def _context_of(record: Record) -> dict[str, str]:
    context = record.get("context")
    return context if isinstance(context, dict) else {}


def _moment(record: Record) -> datetime:
    moment = record["ts"]
    if not isinstance(moment, datetime):
        raise TypeError("ts of a checked record is a time")
    return moment
