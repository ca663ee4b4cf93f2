"""What each user was shown and took lately, shared by the workers of a host, for policies on seen items.

An LMDB that is made when the first policy asks. Entries lie by user, surface and time, in two generations
that take turns: when one has grown to its share of the file, or is older than the longest window, the other
is emptied and takes over. So room is bounded, and what is forgotten first is oldest. Nothing is synced: the
store outlives the workers, and a host that starts anew begins without a history.
"""

from __future__ import annotations

import hashlib
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import lmdb
import msgspec

from recsys.contracts.config import MAX_SEEN_WINDOW_HOURS, SeenPolicy
from recsys.contracts.errors import RecsysError
from recsys.eventlog.recent import user_key

MAX_BYTES = 1024 * 1024 * 1024
MAX_ENTRIES = 200
"""Lists, and outcomes, of one user that a request looks at, latest first."""

_SHARE = 0.4
_PAGE_BYTES = 4096
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_GENERATION = b"generation"
_TAKEN = bytes(8)
_TIME = struct.Struct(">q")
_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(list[str])

if TYPE_CHECKING:
    from lmdb import _Database as _Table


class SeenItemsError(RecsysError):
    """The store of seen items cannot be used."""


class Sight(msgspec.Struct, frozen=True):
    """Items that a user was shown on ``surface``, or took if there is none, at Unix microseconds.

    ``event`` tells events of one moment apart; the same event twice is one.
    """

    tenant: str
    pseudonym: str
    surface: str | None
    at_us: int
    event: str
    item_ids: list[str]


class _Generation(msgspec.Struct, frozen=True, array_like=True):
    number: int
    started_at: float


class SeenItems:
    """The store, opened by each worker process when it is first needed."""

    def __init__(
        self, folder: Path, *, max_bytes: int = MAX_BYTES, clock: Callable[[], float] = time.time
    ) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._clock = clock
        self._opening = threading.Lock()
        self._opened: _Opened | None = None

    @property
    def exists(self) -> bool:
        """Whether anything may have been recorded."""
        return (self._folder / _boot()).exists()

    def add(self, sights: Sequence[Sight]) -> None:
        """Record what users were shown or took. Raises :class:`SeenItemsError`."""
        if not sights:
            return
        store = self._store()
        try:
            with store.environment.begin(write=True) as transaction:
                table = store.tables[self._turn(store, transaction) % 2]
                for sight in sights:
                    event = hashlib.blake2b(sight.event.encode(), digest_size=8).digest()
                    key = _prefix(sight) + _TIME.pack(sight.at_us) + event
                    transaction.put(key, _ENCODER.encode(sight.item_ids), db=table)
        except lmdb.Error as error:
            raise SeenItemsError(f"{self._folder}: cannot be written: {error}") from error

    def find(self, tenant: str, pseudonym: str, surface: str, policy: SeenPolicy, now_us: int) -> list[str]:
        """Return the items that count as seen by a policy, ascending.

        Counted is what happened up to ``now_us`` and within the window: what the user was shown on this
        surface, and took on any. Raises :class:`SeenItemsError`.
        """
        if self._opened is None and not self.exists:
            return []
        store = self._store()
        oldest_us = now_us - int(policy.window_hours * 3.6e9)
        shown = Sight(tenant, pseudonym, surface, 0, "", [])
        taken = Sight(tenant, pseudonym, None, 0, "", [])
        try:
            with store.environment.begin() as transaction:
                newest = _read_generation(store, transaction).number
                tables = [store.tables[newest % 2], store.tables[1 - newest % 2]]
                times_shown = _count(transaction, tables, _prefix(shown), oldest_us, now_us)
                times_taken = _count(transaction, tables, _prefix(taken), oldest_us, now_us)
        except lmdb.Error as error:
            raise SeenItemsError(f"{self._folder}: cannot be read: {error}") from error
        found = {item for item, count in times_shown.items() if count >= policy.min_shown}
        found.update(item for item, count in times_taken.items() if count >= policy.min_taken)
        return sorted(found)

    def forget_user(self, tenant: str, pseudonym: str) -> None:
        """Remove all that a user was shown and took."""
        if self._opened is None and not self.exists:
            return
        store, user = self._store(), user_key(tenant, pseudonym)
        with store.environment.begin(write=True) as transaction:
            for table in store.tables:
                with transaction.cursor(table) as cursor:
                    more = cursor.set_range(user)
                    while more and bytes(cursor.key()).startswith(user):
                        more = cursor.delete()

    def close(self) -> None:
        """Close the store."""
        if self._opened is not None:
            self._opened.environment.close()
            self._opened = None

    def _store(self) -> _Opened:
        if self._opened is None:
            with self._opening:
                if self._opened is None:
                    self._opened = _Opened(self._folder / _boot(), self._max_bytes)
        return self._opened

    def _turn(self, store: _Opened, transaction: lmdb.Transaction) -> int:
        """Return the generation that takes entries, after emptying its table if its turn has just begun."""
        generation, now = _read_generation(store, transaction), self._clock()
        pages = transaction.stat(store.tables[generation.number % 2])
        used = sum(pages[kind] for kind in ("branch_pages", "leaf_pages", "overflow_pages")) * _PAGE_BYTES
        is_old = now - generation.started_at > MAX_SEEN_WINDOW_HOURS * 3600
        if is_old or used > _SHARE * self._max_bytes:
            generation = _Generation(generation.number + 1, now)
            transaction.drop(store.tables[generation.number % 2], delete=False)
            transaction.put(_GENERATION, _ENCODER.encode(generation), db=store.state)
        return generation.number


class _Opened:
    def __init__(self, folder: Path, max_bytes: int) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.environment = lmdb.open(
                str(folder), map_size=max_bytes, max_dbs=3, sync=False, metasync=False, max_readers=512
            )
            self.environment.reader_check()
            self.state = self.environment.open_db(b"state")
            self.tables = [self.environment.open_db(b"seen%d" % turn) for turn in (0, 1)]
        except (lmdb.Error, OSError) as error:
            raise SeenItemsError(f"{folder}: cannot be opened: {error}") from error


def _boot() -> str:
    # A host that went down may have left a torn file, which the next boot must not read.
    return _BOOT_ID.read_text().strip() if _BOOT_ID.exists() else "host"


def _prefix(sight: Sight) -> bytes:
    surface = sight.surface
    part = _TAKEN if surface is None else hashlib.blake2b(surface.encode(), digest_size=8).digest()
    return user_key(sight.tenant, sight.pseudonym) + part


def _read_generation(store: _Opened, transaction: lmdb.Transaction) -> _Generation:
    value = transaction.get(_GENERATION, db=store.state)
    return _Generation(0, 0.0) if value is None else msgspec.msgpack.decode(value, type=_Generation)


def _count(
    transaction: lmdb.Transaction, tables: Sequence[_Table], prefix: bytes, oldest_us: int, now_us: int
) -> Counter[str]:
    """Return how many entries of a prefix name each item, of the latest up to ``now_us``."""
    counts: Counter[str] = Counter()
    n_read = 0
    for table in tables:
        for items in _latest(transaction, table, prefix, oldest_us, now_us):
            counts.update(dict.fromkeys(items, 1))
            n_read += 1
            if n_read == MAX_ENTRIES:
                return counts
    return counts


def _latest(
    transaction: lmdb.Transaction, table: _Table, prefix: bytes, oldest_us: int, now_us: int
) -> Iterator[list[str]]:
    first, end = prefix + _TIME.pack(max(oldest_us, 0)), prefix + _TIME.pack(max(now_us + 1, 0))
    with transaction.cursor(table) as cursor:
        # The cursor goes to what is after the clock, then backwards.
        more = cursor.prev() if cursor.set_range(end) else cursor.last()
        while more:
            key = bytes(cursor.key())
            if key < first or not key.startswith(prefix):
                return
            yield _DECODER.decode(cursor.value())
            more = cursor.prev()
