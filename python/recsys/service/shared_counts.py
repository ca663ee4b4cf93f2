"""Counters of rate limits in one mapped file, so that all workers of a host count together."""

from __future__ import annotations

import fcntl
import hashlib
import mmap
import os
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path

from limits.storage import Storage

N_SLOTS = 16_384
_PROBES = 8
_SLOT = struct.Struct("<QdII")
"""A fingerprint of the key, when the count expires (Unix seconds), the count, and the seconds it lasts."""
_ROUNDING_S = 1.0


class SharedCounts(Storage):
    """A fixed number of counters. Where they are all taken, the one nearest its end makes room."""

    STORAGE_SCHEME = None

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time) -> None:
        """Create or open the file; ``clock`` gives Unix seconds. Raises ``OSError``."""
        super().__init__()
        self._clock = clock
        self._mutex = threading.Lock()
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.ftruncate(self._fd, N_SLOTS * _SLOT.size)
        self._map = mmap.mmap(self._fd, N_SLOTS * _SLOT.size)

    @property
    def base_exceptions(self) -> type[Exception]:
        """What the storage itself raises."""
        return OSError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Add to the count of a key, begun anew ``expiry`` seconds after its first, and return it."""
        fingerprint, now = _fingerprint(key), self._clock()
        with self._mutex:
            fcntl.lockf(self._fd, fcntl.LOCK_EX)
            try:
                at, until, count = self._find(fingerprint, now)
                count = min(count + amount, 0xFFFF_FFFF)
                _SLOT.pack_into(self._map, at, fingerprint, until or now + expiry, count, expiry)
            finally:
                fcntl.lockf(self._fd, fcntl.LOCK_UN)
        return count

    def get(self, key: str) -> int:
        """Return the count of a key."""
        return self._find(_fingerprint(key), self._clock())[2]

    def get_expiry(self, key: str) -> float:
        """Return when the count of a key ends, in Unix seconds; now without one."""
        now = self._clock()
        return self._find(_fingerprint(key), now)[1] or now

    def check(self) -> bool:
        """Whether the storage works."""
        return not self._map.closed

    def reset(self) -> int:
        """Forget every count; return the number of counters."""
        self._map[:] = bytes(len(self._map))
        return N_SLOTS

    def clear(self, key: str) -> None:
        """Forget the count of a key."""
        at, _, count = self._find(_fingerprint(key), self._clock())
        if count:
            _SLOT.pack_into(self._map, at, 0, 1.0, 0, 0)  # an end long ago: what is behind it is still found

    def close(self) -> None:
        """Release the file."""
        self._map.close()
        os.close(self._fd)

    def _find(self, fingerprint: int, now: float) -> tuple[int, float, int]:
        """Return where a key is or may go, with its end and count (0.0 and 0 for a new one)."""
        soonest = (float("inf"), 0)
        for probe in range(_PROBES):
            at = (fingerprint + probe) % N_SLOTS * _SLOT.size
            found, until, count, lasts = _SLOT.unpack_from(self._map, at)
            # One that begins later than now is of a clock that was set back, and would refuse until then.
            is_current = until - lasts - _ROUNDING_S <= now < until
            if found == fingerprint and is_current:
                return at, until, count
            if not until:  # never taken, so the key is not behind it
                return at, 0.0, 0
            soonest = min(soonest, (until if is_current else 0.0, at))
        return soonest[1], 0.0, 0


def _fingerprint(key: str) -> int:
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest()) | 1
