"""Request ids: the caller's when it is sound, else a UUIDv7."""

from __future__ import annotations

import re
import time
from random import Random

from recsys.contracts.http import MAX_REQUEST_ID

_VISIBLE_ASCII = re.compile(rf"[!-~]{{1,{MAX_REQUEST_ID}}}")


class RequestIds:
    """Chooses the id of each request of one worker."""

    def __init__(self) -> None:
        # Seeded by the operating system, once: an id has to be unique, not secret, and asking the system for
        # every request lets go of the GIL each time.
        self._random = Random()  # noqa: S311

    def choose(self, header: str | None) -> str:
        """Return ``header`` when it is 1 to 128 visible ASCII characters, else a new UUIDv7."""
        if header is not None and _VISIBLE_ASCII.fullmatch(header):
            return header
        return self.make_uuid7()

    def make_uuid7(self) -> str:
        """Return a UUID version 7 (RFC 9562, section 5.7): 48 bits of Unix milliseconds, 74 random ones."""
        random = self._random.getrandbits(74)
        high = (time.time_ns() // 1_000_000 & 0xFFFF_FFFF_FFFF) << 16 | 0x7000 | random >> 62
        low = 0x8000_0000_0000_0000 | random & 0x3FFF_FFFF_FFFF_FFFF
        digits = f"{high << 64 | low:032x}"
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
