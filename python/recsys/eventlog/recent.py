"""What the workers of a host share of the latest events: which were taken, and what each user touched.

A small LMDB, a cache: what is in it is in the logs too, or only spares a duplicate. Entries live in two
generations that take turns, so an entry stays for between one and two windows, and nothing has to be looked
for to be removed. It is not synced to disk; after a restart of the host it starts empty.
"""

from __future__ import annotations

import errno
import hashlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import lmdb
import msgspec

from recsys.contracts.errors import RecsysError

WINDOW_S = 3600.0
MAX_BYTES = 256 * 1024 * 1024
MAX_TOUCHES = 20
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_GENERATION = b"generation"
_TURNS = (0, 1)


class RecentEventsError(RecsysError):
    """The shared store of recent events cannot be used."""


class Touch(msgspec.Struct, frozen=True, array_like=True):
    """One item that a user clicked or bought, at Unix seconds."""

    item_id: str
    at: float


class Claim(msgspec.Struct, frozen=True):
    """One record: the digest of its content, and what its user touched by it, if anything."""

    digest: bytes
    user_key: bytes | None = None
    touch: Touch | None = None


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(list[Touch])


def user_key(tenant: str, pseudonym: str) -> bytes:
    """Return the key of a user of a tenant."""
    return hashlib.blake2b(f"{tenant}\0{pseudonym}".encode(), digest_size=16).digest()


class RecentEvents:
    """The store, opened once in each worker process."""

    def __init__(
        self,
        folder: Path,
        *,
        window_s: float = WINDOW_S,
        max_bytes: int = MAX_BYTES,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Open or create the store; raises :class:`RecentEventsError`."""
        # A host that went down may have left a torn file, which the next boot must not read.
        boot = _BOOT_ID.read_text().strip() if _BOOT_ID.exists() else "host"
        self._window_s = window_s
        self._clock = clock
        try:
            (folder / boot).mkdir(parents=True, exist_ok=True)
            # Not written through the map: its file would be as large as the map, for whoever copies it.
            self._environment = lmdb.open(
                str(folder / boot), map_size=max_bytes, max_dbs=5, sync=False, metasync=False, max_readers=512
            )
            self._environment.reader_check()
            self._state = self._environment.open_db(b"state")
            self._seen = [self._environment.open_db(b"seen%d" % turn) for turn in _TURNS]
            self._touched = [self._environment.open_db(b"touched%d" % turn) for turn in _TURNS]
        except (lmdb.Error, OSError) as error:
            raise RecentEventsError(f"{folder}: cannot be opened: {error}") from error

    def claim(self, claims: Sequence[Claim], write: Callable[[list[bool]], None]) -> list[bool]:
        """Return which records are new, once ``write`` has written those.

        Meanwhile other workers wait, so of equal records sent to two of them one is new. When ``write``
        raises, nothing is remembered. A process killed between the two leaves records that are written and
        not remembered: sent again, they are written again, and equal lines count once in evaluation.
        Raises ``OSError`` when the disk cannot be read, or has no room for more.
        """
        new: list[bool] | None = None
        while True:
            is_written = False
            try:
                with self._environment.begin(write=True) as transaction:
                    turn = self._turn(transaction)
                    new = [self._take(transaction, turn, claim) for claim in claims]
                    write(new)
                    is_written = True
            except lmdb.MapFullError:
                # A duplicate now and then is better than a refusal: all is forgotten.
                self._forget()
                if is_written and new is not None:
                    return new
            except lmdb.DiskError as error:
                if is_written and new is not None:
                    return new  # a duplicate now and then, as above
                raise OSError(errno.EIO, str(error)) from error
            else:
                return new

    def touched(self, key: bytes, max_items: int, ttl_s: float) -> list[str]:
        """Return the items that a user touched within ``ttl_s``, most recent first, each once."""
        with self._environment.begin() as transaction:
            turn = _number(transaction.get(_GENERATION, db=self._state)) % 2
            found = self._touches(transaction, turn, key)
        oldest = self._clock() - ttl_s
        return [touch.item_id for touch in found[:max_items] if touch.at >= oldest]

    def forget_user(self, key: bytes) -> None:
        """Remove what a user touched."""
        with self._environment.begin(write=True) as transaction:
            for turn in _TURNS:
                transaction.delete(key, db=self._touched[turn])

    def close(self) -> None:
        """Close the store."""
        self._environment.close()

    def _take(self, transaction: lmdb.Transaction, turn: int, claim: Claim) -> bool:
        if transaction.get(claim.digest, db=self._seen[1 - turn]) is not None:
            return False
        if not transaction.put(claim.digest, b"", overwrite=False, db=self._seen[turn]):
            return False
        if claim.touch is not None and claim.user_key is not None:
            latest = {one.item_id: one for one in self._touches(transaction, turn, claim.user_key)}
            known = latest.pop(claim.touch.item_id, claim.touch)
            # Events may come late and out of order.
            touch = max(claim.touch, known, key=lambda one: one.at)
            touches = sorted([touch, *latest.values()], key=lambda one: -one.at)[:MAX_TOUCHES]
            transaction.put(claim.user_key, _ENCODER.encode(touches), db=self._touched[turn])
        return True

    def _touches(self, transaction: lmdb.Transaction, turn: int, key: bytes) -> list[Touch]:
        """Return the newest list: each is written whole, so that of the current generation holds all."""
        value = transaction.get(key, db=self._touched[turn])
        if value is None:
            value = transaction.get(key, db=self._touched[1 - turn])
        return [] if value is None else _DECODER.decode(value)

    def _turn(self, transaction: lmdb.Transaction) -> int:
        """Return whose turn it is, after emptying what is older than a window."""
        now, before = (
            int(self._clock() / self._window_s),
            _number(transaction.get(_GENERATION, db=self._state)),
        )
        if now > before:
            for turn in _TURNS if now > before + 1 else (now % 2,):
                transaction.drop(self._seen[turn], delete=False)
                transaction.drop(self._touched[turn], delete=False)
            transaction.put(_GENERATION, b"%d" % now, db=self._state)
        return max(now, before) % 2

    def _forget(self) -> None:
        with self._environment.begin(write=True) as transaction:
            for table in (*self._seen, *self._touched):
                transaction.drop(table, delete=False)


def _number(value: bytes | memoryview | None) -> int:
    return 0 if value is None else int(bytes(value))
