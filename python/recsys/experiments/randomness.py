"""Random numbers that depend on a seed alone: the same on every machine and in every version of Python."""

from __future__ import annotations

import hashlib
import struct

_TO_UNIT = 2.0**-53


def request_seed(request_id: str, seed: int | None) -> bytes:
    """Return the seed of a request: that of its id, or of the number that the caller gave."""
    return f"request\0{request_id}".encode() if seed is None else f"seed\0{seed}".encode()


def draw_uniforms(seed: bytes, purpose: bytes, count: int) -> list[float]:
    """Return ``count`` numbers, independent and uniform in the open interval (0, 1): SHAKE-128 of the seed.

    Each ``purpose`` has numbers of its own.
    """
    words = struct.unpack(f"<{count}Q", hashlib.shake_128(purpose + b"\0" + seed).digest(8 * count))
    return [((word >> 11) + 0.5) * _TO_UNIT for word in words]
