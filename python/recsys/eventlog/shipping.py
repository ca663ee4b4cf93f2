"""Compacted files go to an object store, each once, also when shipping is killed and run again.

An object has the name of its file, and is created only if there is none. A name that is taken is compared by
content: equal means that an earlier run was stopped after its put. A receipt beside each file says where.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from recsys.contracts.errors import RecsysError
from recsys.contracts.store_errors import explain_store_error
from recsys.eventlog import journal
from recsys.eventlog.layout import LOG_KINDS, compacted_files

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_RECEIPT_SUFFIX = ".shipped.json"


class ShippingError(RecsysError):
    """The object store refused, cannot be reached, or holds something else under a name of ours."""


class Receipt(Struct, frozen=True):
    """Where a file went."""

    url: str
    sha256: str
    bytes: int
    shipped_at: datetime


class Shipped(Struct, frozen=True):
    """What one run sent; ``found`` were there already, from a run that was stopped."""

    files: int
    bytes: int
    found: int


def ship_logs(logs: Path, url: str) -> Shipped:
    """Send every compacted file that has no receipt for ``url`` (``s3://bucket/prefix``,
    ``file:///folder``).
    """
    store = open_store(url)
    files = n_bytes = found = 0
    for kind in LOG_KINDS:
        if not (logs / kind).is_dir():
            continue
        with journal.exclusive(logs / kind):
            journal.recover(logs / kind)
            for _, path in compacted_files(logs / kind):
                receipt = read_receipt(path)
                if receipt is not None and receipt.url == url:
                    continue
                data = path.read_bytes()
                found += not put_once(store, path.relative_to(logs).as_posix(), data, url)
                write_receipt(path, url, data)
                files += 1
                n_bytes += len(data)
    return Shipped(files, n_bytes, found)


def open_store(url: str) -> ObjectStore:
    """Return the store of a URL; credentials come from the environment."""
    try:
        from obstore.exceptions import BaseError  # noqa: PLC0415 - an extra: only shipping needs it
        from obstore.store import LocalStore, from_url  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ShippingError("shipping needs obstore: pip install 'recsys[object-store]'") from error
    try:
        if url.startswith("file://"):
            return LocalStore(url.removeprefix("file://"), mkdir=True)
        return from_url(url, client_options={"allow_http": True})
    except (BaseError, ValueError, TypeError) as error:
        raise ShippingError(f"{url}: {explain_store_error(error)}") from error


def put_once(store: ObjectStore, key: str, data: bytes, url: str) -> bool:
    """Create an object and return whether this call did; raises when the name holds something else."""
    import obstore  # noqa: PLC0415
    from obstore.exceptions import AlreadyExistsError  # noqa: PLC0415

    with named_errors(f"{url}/{key}"):
        try:
            obstore.put(store, key, data, mode="create")
        except AlreadyExistsError as error:
            if bytes(obstore.get(store, key).bytes()) != data:
                raise ShippingError(f"{url}/{key}: there is another object of this name") from error
            return False
    return True


@contextmanager
def named_errors(subject: str) -> Iterator[None]:
    """Turn what the library raises into :class:`ShippingError`, one line that names ``subject``."""
    from obstore.exceptions import BaseError  # noqa: PLC0415

    try:
        yield
    except (BaseError, OSError) as error:
        raise ShippingError(f"{subject}: {explain_store_error(error)}") from error


def receipt_path(path: Path) -> Path:
    """Return where the receipt of a compacted file lies."""
    return path.with_name(f".{path.name}{_RECEIPT_SUFFIX}")


def read_receipt(path: Path) -> Receipt | None:
    """Return the receipt of a compacted file, or ``None`` when it was not shipped."""
    try:
        return msgspec.json.decode(receipt_path(path).read_bytes(), type=Receipt)
    except FileNotFoundError:
        return None


def write_receipt(path: Path, url: str, data: bytes) -> None:
    """Remember that ``data`` of a compacted file is at ``url``."""
    receipt = Receipt(url, hashlib.sha256(data).hexdigest(), len(data), datetime.now(UTC))
    journal.write_durably(receipt_path(path), msgspec.json.encode(receipt))
