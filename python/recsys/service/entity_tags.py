"""Entity tags and the headers that compare them (RFC 9110, section 13.1). Ours are versions in quotes."""

from __future__ import annotations

import re

from recsys.contracts.documents import etag_of
from recsys.contracts.problems import ProblemCode
from recsys.service.problems import ProblemError
from recsys.service.transport import Headers, Response

_TAG = re.compile(r'\s*(?:W/)?"([^"]*)"\s*(?:,|$)')
_ANY = "*"


def tag_header(version: str) -> list[tuple[str, str]]:
    """Return the headers of a response that shows this version."""
    return [("etag", etag_of(version))]


def not_modified(headers: Headers, version: str) -> Response | None:
    """Return the 304 that ``If-None-Match`` asks for, or ``None`` if the caller has another version."""
    wanted = _read(headers, "if-none-match")
    if wanted is None or (wanted != _ANY and version not in wanted):
        return None
    return Response(304, b"", headers=tag_header(version))


def expect_current(headers: Headers, current: str | None, what: str) -> str | None:
    """Return the version that a change must find, or ``None`` for any.

    Raises 409 when ``If-Match`` names others than ``current``, or ``If-None-Match: *`` meets one.
    """
    wanted = _read(headers, "if-match")
    if wanted is not None and (current is None or (wanted != _ANY and current not in wanted)):
        raise _mismatch(f"{what}: If-Match does not name the current version ({current or 'there is none'})")
    if _read(headers, "if-none-match") == _ANY and current is not None:
        raise _mismatch(f"{what}: version {current} is there, and If-None-Match says that none should be")
    return current if wanted is not None else None


def _mismatch(detail: str) -> ProblemError:
    """Return the 409 of a document that has changed."""
    return ProblemError(ProblemCode.VERSION_MISMATCH, detail)


def _read(headers: Headers, name: str) -> str | list[str] | None:
    """Return the tags of a header, ``*``, or ``None`` without it; raises 400 for one that is neither."""
    value = headers.get(name)
    if value is None or value.strip() == _ANY:
        return value if value is None else _ANY
    tags: list[str] = []
    at = 0
    while at < len(value):
        found = _TAG.match(value, at)
        if found is None:
            raise ProblemError(
                ProblemCode.INVALID_REQUEST, f'{name}: give entity tags in double quotes, or "*"'
            )
        tags.append(found[1])
        at = found.end()
    return tags
