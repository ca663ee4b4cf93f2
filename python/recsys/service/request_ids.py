"""Request ids: the caller's when it is sound, else a UUIDv7."""

from __future__ import annotations

import re

from recsys._native import make_request_id
from recsys.contracts.http import MAX_REQUEST_ID

_VISIBLE_ASCII = re.compile(rf"[!-~]{{1,{MAX_REQUEST_ID}}}")


def choose_request_id(header: str | None) -> str:
    """Return ``header`` when it is 1 to 128 visible ASCII characters, else a new UUIDv7."""
    if header is not None and _VISIBLE_ASCII.fullmatch(header):
        return header
    return make_request_id()
