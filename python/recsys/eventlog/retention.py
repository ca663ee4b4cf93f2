"""How long records are kept, and how those of one user leave compacted files, here and in object stores."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from msgspec import Struct

from recsys.eventlog import journal
from recsys.eventlog.layout import (
    BAD_FOLDER,
    COMPACTED_SUFFIX,
    LOG_KINDS,
    Partition,
    compacted_files,
    partition_of,
)
from recsys.eventlog.shipping import named_errors, open_store, read_receipt, receipt_path, write_receipt

if TYPE_CHECKING:
    from obstore.store import ObjectStore


class Removed(Struct, frozen=True):
    """What was removed; ``kept_unshipped`` were old enough but are nowhere else."""

    files: int = 0
    objects: int = 0
    kept_unshipped: int = 0


class Erased(Struct, frozen=True):
    """How many records of a user were removed, and from how many files and objects."""

    records: int = 0
    files: int = 0
    objects: int = 0


def remove_old(
    logs: Path,
    today: date,
    *,
    days: int | None = None,
    url: str | None = None,
    store_days: int | None = None,
    keep_unshipped: bool = False,
) -> Removed:
    """Remove compacted files of days over ``days`` ago, and objects of days over ``store_days`` ago.

    With ``keep_unshipped`` a file stays until it has a receipt.
    """
    files = objects = kept = 0
    if days is not None:
        oldest = today - timedelta(days=days)
        for log in _logs(logs):
            with journal.exclusive(log):
                journal.recover(log)
                for partition, path in compacted_files(log):
                    if partition.day >= oldest:
                        continue
                    if keep_unshipped and read_receipt(path) is None:
                        kept += 1
                        continue
                    path.unlink()
                    receipt_path(path).unlink(missing_ok=True)
                    files += 1
    if url is not None and store_days is not None:
        import obstore  # noqa: PLC0415 - an extra

        store = open_store(url)
        oldest = today - timedelta(days=store_days)
        with named_errors(url):
            for key, partition in _objects(store):
                if partition.day < oldest:
                    obstore.delete(store, key)
                    objects += 1
    return Removed(files, objects, kept)


def erase_compacted(logs: Path, tenant: str, pseudonym: str, *, url: str | None = None) -> Erased:
    """Remove every compacted record of a user of a tenant, also from the objects below ``url`` if given.

    A file is replaced as a whole by one without the records, or removed when it has no others; running it
    again after it was stopped does the rest. A shipped file is replaced in the store before its receipt.
    """
    records = files = objects = 0
    for log in _logs(logs):
        with journal.exclusive(log):
            journal.recover(log)
            records += _erase_bad_lines(log, pseudonym)
            for partition, path in compacted_files(log):
                if partition.tenant != tenant:
                    continue
                removed, rest = _without(path.read_bytes(), pseudonym)
                if not removed:
                    continue
                receipt = read_receipt(path)
                if receipt is not None:
                    with named_errors(receipt.url):
                        _replace_object(open_store(receipt.url), path.relative_to(logs).as_posix(), rest)
                    objects += 1
                records += removed
                files += 1
                if rest is None:
                    path.unlink()
                    receipt_path(path).unlink(missing_ok=True)
                    continue
                journal.write_durably(path, rest)
                if receipt is not None:
                    write_receipt(path, receipt.url, rest)
    if url is not None:
        import obstore  # noqa: PLC0415 - an extra

        store = open_store(url)
        with named_errors(url):
            for key, partition in _objects(store):
                if partition.tenant != tenant:
                    continue
                removed, rest = _without(bytes(obstore.get(store, key).bytes()), pseudonym)
                if removed:
                    _replace_object(store, key, rest)
                    records += removed
                    objects += 1
    return Erased(records, files, objects)


def _erase_bad_lines(log: Path, pseudonym: str) -> int:
    """Remove lines that name a user from those that compaction kept aside."""
    removed = 0
    for path in (log / journal.FOLDER / BAD_FOLDER).glob("*"):
        lines = path.read_bytes().splitlines(keepends=True)
        rest = [line for line in lines if pseudonym.encode() not in line]
        if len(rest) < len(lines):
            removed += len(lines) - len(rest)
            journal.write_durably(path, b"".join(rest))
    return removed


def _without(data: bytes, pseudonym: str) -> tuple[int, bytes | None]:
    """Return how many records of a user a file holds, and the file without them (``None`` if empty)."""
    users = pq.read_table(pa.BufferReader(data), columns=["user_id"]).column("user_id")
    is_other = pc.not_equal(users, pa.scalar(pseudonym))
    removed = len(users) - len(users.filter(is_other))
    if not removed or removed == len(users):
        return removed, None
    rest = io.BytesIO()
    pq.write_table(pq.read_table(pa.BufferReader(data)).filter(is_other), rest, compression="zstd")
    return removed, rest.getvalue()


def _replace_object(store: ObjectStore, key: str, data: bytes | None) -> None:
    import obstore  # noqa: PLC0415 - an extra

    if data is None:
        obstore.delete(store, key)
    else:
        obstore.put(store, key, data)


def _objects(store: ObjectStore) -> Iterator[tuple[str, Partition]]:
    import obstore  # noqa: PLC0415 - an extra

    for batch in obstore.list(store):
        for found in batch:
            kind, _, rest = str(found["path"]).partition("/")
            folder, _, name = rest.rpartition("/")
            if kind in LOG_KINDS and name.endswith(COMPACTED_SUFFIX):
                yield str(found["path"]), partition_of(folder)


def _logs(logs: Path) -> Iterator[Path]:
    for kind in LOG_KINDS:
        if (logs / kind).is_dir():
            yield logs / kind
