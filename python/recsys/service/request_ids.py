"""Request ids: the caller's when it is sound, else a UUIDv7."""

from __future__ import annotations

import os
import re
import time

from recsys.contracts.http import MAX_REQUEST_ID

_VISIBLE_ASCII = re.compile(rf"[!-~]{{1,{MAX_REQUEST_ID}}}")


def choose_request_id(header: str | None) -> str:
    """Return ``header`` when it is 1 to 128 visible ASCII characters, else a new UUIDv7."""
    if header is not None and _VISIBLE_ASCII.fullmatch(header):
        return header
    return make_uuid7()


def make_uuid7() -> str:
    """Return a UUID version 7 (RFC 9562, section 5.7): 48 bits of Unix milliseconds, then 74 random bits."""
    random = int.from_bytes(os.urandom(10), "big")
    high = (time.time_ns() // 1_000_000 & 0xFFFF_FFFF_FFFF) << 16 | 0x7000 | random >> 68
    low = 0x8000_0000_0000_0000 | random & 0x3FFF_FFFF_FFFF_FFFF
    digits = f"{high << 64 | low:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
