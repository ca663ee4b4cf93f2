"""What a handler sees of HTTP: a request whose body is read and bounded, and a response that is bytes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Mapping
from types import MappingProxyType
from typing import Protocol

import msgspec

from recsys.contracts.http import MAX_BODY_BYTES
from recsys.contracts.problems import ProblemCode
from recsys.control.principals import Principal
from recsys.service.problems import ProblemError

NOBODY = Principal("", "", frozenset())
"""The principal of an open route, which has none."""

NO_PARAMETERS: Mapping[str, str] = MappingProxyType({})
JSON_TYPE = "application/json"
MAX_DRAINED_BYTES = 8 * MAX_BODY_BYTES
_JSON_ENCODER = msgspec.json.Encoder()


class Headers(Protocol):
    """The headers of a request, by lower-case name."""

    def get(self, key: str, /) -> str | None:
        """Return the first value of a header, or ``None``; also ``None`` when it is not visible ASCII."""

    def __contains__(self, key: str, /) -> bool:
        """Whether a header of this name was sent, whatever its value."""


class Scope(Protocol):
    """The head of a request, as RSGI gives it."""

    proto: str
    method: str
    path: str
    query_string: str

    @property
    def headers(self) -> Headers:
        """The headers of the request."""


class HttpProtocol(Protocol):
    """One HTTP exchange, as RSGI gives it."""

    def __call__(self) -> Awaitable[bytes]:
        """Read the whole body."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Read the body chunk by chunk."""

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        """Answer."""


class Request:
    """A request as it becomes known: first its head, then its route, its caller and its body."""

    __slots__ = (
        "_scope",
        "body",
        "headers",
        "method",
        "parameters",
        "path",
        "principal",
        "request_id",
        "route",
        "started",
    )

    def __init__(self, scope: Scope, headers: Headers, request_id: str, started: float) -> None:
        """``started`` is the reading of ``time.perf_counter`` at which the head had arrived.

        ``headers`` are those of the scope, which makes a copy each time that it is asked for them.
        """
        self._scope = scope
        self.method = scope.method
        self.path = scope.path
        self.headers = headers
        self.request_id = request_id
        self.started = started
        self.route = ""
        """The path of the operation, with its parameters by name; empty for one that there is not."""
        self.parameters = NO_PARAMETERS
        self.principal = NOBODY
        self.body = b""

    @property
    def query(self) -> str:
        """The query string, without the question mark."""
        return self._scope.query_string


class Response:
    """A status, a content type, a body, and headers beside the request id."""

    __slots__ = ("body", "content_type", "headers", "status")

    def __init__(
        self,
        status: int,
        body: bytes,
        content_type: str = JSON_TYPE,
        headers: list[tuple[str, str]] | None = None,
    ) -> None:
        self.status = status
        self.body = body
        self.content_type = content_type
        self.headers = headers


def json_response(status: int, content: msgspec.Struct) -> Response:
    """Return ``content`` as a JSON response."""
    return Response(status, _JSON_ENCODER.encode(content))


def read_body(headers: Headers, protocol: HttpProtocol) -> Awaitable[bytes]:
    """Return the body, to be awaited; raises 413 for more than the limit of 1 MiB, of which no more is held.

    What is over the limit is read and dropped up to ``MAX_DRAINED_BYTES``, so that the caller gets to see the
    answer: a connection that is closed on unread bytes is reset. ``RSGIProtocolClosed`` says that the caller
    hung up in the middle; :func:`cut_off` says what to answer.
    """
    declared = _declared_length(headers)
    if declared is not None and declared <= MAX_BODY_BYTES:
        return protocol()
    if declared is not None and declared > MAX_DRAINED_BYTES:
        raise _too_large()
    return _read_bounded(protocol)


def cut_off(headers: Headers) -> ProblemError:
    """Return the problem of a body that ended too early: a 400, not a failure of the service."""
    declared = _declared_length(headers)
    expected = "the end" if declared is None else f"the {declared} bytes"
    detail = f"the connection ended before {expected} of the body"
    return ProblemError(ProblemCode.INVALID_REQUEST, detail)


def _declared_length(headers: Headers) -> int | None:
    length = headers.get("content-length")
    return int(length) if length is not None and length.isdecimal() else None


async def _read_bounded(protocol: HttpProtocol) -> bytes:
    chunks, size = bytearray(), 0
    async for chunk in protocol:
        size += len(chunk)
        if size > MAX_DRAINED_BYTES:
            break
        if size <= MAX_BODY_BYTES:
            chunks += chunk
        else:
            chunks.clear()
    if size > MAX_BODY_BYTES:
        raise _too_large()
    return bytes(chunks)


def _too_large() -> ProblemError:
    return ProblemError(ProblemCode.PAYLOAD_TOO_LARGE, f"a body has at most {MAX_BODY_BYTES} bytes")
