"""Pages of one list: a token says where the next one begins, and what list it is a page of.

A token is signed with the tenant's salt, so all hosts read it and nobody else makes one. It carries the clock
and the session's anchors of the first page, so that the list stays the same while the user goes through it,
and digests of the request and of what ranked it.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta

import msgspec
from msgspec import Struct

from recsys.contracts.http import FIRST_PAGE, RecommendRequest, SimilarRequest
from recsys.contracts.problems import ProblemCode
from recsys.service.arms import Treatment
from recsys.service.problems import ProblemError

MAX_PAGED_ITEMS = 1000
"""Items of a list that pages go through."""

_MAC_BYTES = 16
_DIGEST_BYTES = 12
_CONTEXT = b"recsys page\0"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_JSON = msgspec.json.Encoder(order="deterministic")


class Page(Struct, frozen=True, array_like=True):
    """A page of a list: the items before it, and what its list depends on beside the request."""

    offset: int
    now_us: int
    """The clock of the first page, in Unix microseconds."""
    request: bytes
    """A digest of the request without its page."""
    versions: bytes
    """A digest of everything that ranks it."""
    anchors: list[str] | None = None
    """Those of the first page, where the user's session adds to the request's."""


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Page)


def first_page(body: RecommendRequest | SimilarRequest, tenant: str, now: datetime, versions: bytes) -> Page:
    """Return the first page of a request's list at ``now``."""
    return Page(0, microseconds(now), _digest_request(body, tenant), versions)


def open_page(body: RecommendRequest | SimilarRequest, tenant: str, salt: bytes) -> Page | None:
    """Return the page that a request asks for by a token, ``None`` for the first; raises 400.

    ``MAX_PAGED_ITEMS`` bounds it: no token goes further.
    """
    token = body.page
    if token is None or token == FIRST_PAGE:
        return None
    page = _read(token, salt)
    if page is None:
        raise ProblemError(
            ProblemCode.INVALID_REQUEST,
            f"page: no token of this service and tenant; send {FIRST_PAGE!r} or a meta.next_page as it came",
        )
    if page.request != _digest_request(body, tenant):
        raise ProblemError(
            ProblemCode.INVALID_REQUEST,
            "page: belongs to another request; beside page, send all fields as for the first page",
        )
    return page


def _read(token: str, salt: bytes) -> Page | None:
    try:
        signed = urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
        payload, mac = signed[:-_MAC_BYTES], signed[-_MAC_BYTES:]
        # Base64 has several spellings of some bytes; only the one that was given counts.
        if not hmac.compare_digest(mac, _sign(payload, salt)) or _spell(signed) != token:
            return None
        return _DECODER.decode(payload)
    except (ValueError, msgspec.MsgspecError):
        return None


def seal_page(page: Page, salt: bytes) -> str:
    """Return the token of a page."""
    payload = _ENCODER.encode(page)
    return _spell(payload + _sign(payload, salt))


def digest_versions(treatment: Treatment, segment: str) -> bytes:
    """Return a digest of what ranks a request: versions, the arm, and what it changes."""
    rankers = [
        (ranker.snapshot.versions, ranker.mode, ranker.weights, ranker.exploration)
        for ranker in treatment.rankers
    ]
    return _digest(_JSON.encode((segment, treatment.told, rankers)))


def _digest_request(body: RecommendRequest | SimilarRequest, tenant: str) -> bytes:
    request = msgspec.structs.replace(body, page=None)
    return _digest(_JSON.encode((type(body).__name__, tenant, request)))


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES).digest()


def _sign(payload: bytes, salt: bytes) -> bytes:
    return hmac.digest(salt, _CONTEXT + payload, "sha256")[:_MAC_BYTES]


def _spell(signed: bytes) -> str:
    return urlsafe_b64encode(signed).rstrip(b"=").decode()


def microseconds(moment: datetime) -> int:
    """Return Unix microseconds, exactly."""
    return (moment - _EPOCH) // _MICROSECOND


def moment_at(micros: int) -> datetime:
    """Return the moment of Unix microseconds, exactly."""
    return _EPOCH + micros * _MICROSECOND
