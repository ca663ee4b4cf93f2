"""The client: one connection pool, typed bodies, and retries that cannot do harm.

Needs the extra ``client``. A list is asked for again only when no answer came or the service is overloaded,
and always by one request id: what was served twice is one exposure in every measurement;
events may be sent again freely, for equal records count once.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Sequence
from types import TracebackType
from typing import Self, TypeVar

import httpx
import msgspec
from msgspec import Struct

from recsys.contracts.errors import RecsysError
from recsys.contracts.events import MAX_EVENTS, EventsRequest, EventsResponse, RejectedEvent
from recsys.contracts.http import (
    BatchRequest,
    BatchResponse,
    ListResponse,
    RecommendRequest,
    SimilarRequest,
)
from recsys.contracts.problems import Problem
from recsys.contracts.records import Exposure, Outcome

T = TypeVar("T", bound=Struct)

_RETRIED = frozenset({429, 502, 503, 504})
_FIRST_WAIT_S = 0.05
_MAX_WAIT_S = 5.0


class ClientError(RecsysError):
    """The service did not answer, or not as it should; ``problem`` is what it said, when it did."""

    def __init__(self, message: str, problem: Problem | None = None) -> None:
        super().__init__(message)
        self.problem = problem


class Client:
    """Asks one service for one tenant. Threads may share it; use it in a ``with`` block, or close it."""

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        tenant: str | None = None,
        timeout_s: float = 2.0,
        retries: int = 2,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """``timeout_s`` bounds each try; ``tenant`` is for development mode, or checks whose the key is."""
        headers = {"content-type": "application/json"}
        if api_key is not None:
            headers["authorization"] = f"Bearer {api_key}"
        if tenant is not None:
            headers["x-org-id"] = tenant
        self._retries = retries
        self._http = httpx.Client(base_url=url, headers=headers, timeout=timeout_s, transport=transport)

    def recommend(self, request: RecommendRequest, *, request_id: str | None = None) -> ListResponse:
        """Return the best items for a user; keep ``meta.request_id`` for the outcomes. Raises ClientError."""
        return self._post("/v1/recommend", request, ListResponse, request_id)

    def recommend_batch(self, request: BatchRequest, *, request_id: str | None = None) -> BatchResponse:
        """Return the lists of one page, none of which repeats an item of those before it. Raises ClientError.

        Each list has a request id of its own, for its outcomes.
        """
        return self._post("/v1/recommend/batch", request, BatchResponse, request_id)

    def similar(self, request: SimilarRequest, *, request_id: str | None = None) -> ListResponse:
        """Return the best items beside one item. Raises ClientError."""
        return self._post("/v1/similar", request, ListResponse, request_id)

    def send_events(
        self, outcomes: Sequence[Outcome] = (), exposures: Sequence[Exposure] = ()
    ) -> EventsResponse:
        """Send records with the user's own id, a thousand at a time, and return what became of them.

        ``rejected`` has places in the sequences given here. After a ClientError, send all of them again.
        Raises TypeError for what is no sequence of records.
        """
        _check_records("outcomes", outcomes, Outcome)
        _check_records("exposures", exposures, Exposure)
        accepted = duplicates = 0
        rejected: list[RejectedEvent] = []
        for start in range(0, max(len(outcomes), 1), MAX_EVENTS):
            done = self._send(EventsRequest(outcomes=list(outcomes[start : start + MAX_EVENTS])), start)
            accepted, duplicates = accepted + done.accepted, duplicates + done.duplicates
            rejected += done.rejected
        for start in range(0, len(exposures), MAX_EVENTS):
            done = self._send(EventsRequest(exposures=list(exposures[start : start + MAX_EVENTS])), start)
            accepted, duplicates = accepted + done.accepted, duplicates + done.duplicates
            rejected += done.rejected
        return EventsResponse(accepted, duplicates, rejected)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _send(self, events: EventsRequest, start: int) -> EventsResponse:
        if not (events.outcomes or events.exposures):
            return EventsResponse(0, 0, [])
        done = self._post("/v1/events", events, EventsResponse, None)
        moved = [msgspec.structs.replace(one, index=one.index + start) for one in done.rejected]
        return msgspec.structs.replace(done, rejected=moved)

    def _post(self, path: str, body: Struct, answer: type[T], request_id: str | None) -> T:
        data = msgspec.json.encode(body)
        # One for all tries: a list that was served though its answer got lost is not a second one.
        headers = {"x-request-id": str(uuid.uuid4()) if request_id is None else request_id}
        if self._http.is_closed:
            raise ClientError(f"{path}: the client is closed")
        for attempt in range(self._retries + 1):
            is_last = attempt == self._retries
            try:
                response = self._http.post(path, content=data, headers=headers)
            except httpx.TransportError as error:
                if is_last:
                    raise ClientError(f"{self._http.base_url.join(path)}: no answer: {error}") from error
                time.sleep(_wait_s(attempt, None))
                continue
            if response.is_success:
                return _decode(path, response.content, answer)
            if response.status_code not in _RETRIED or is_last:
                raise _refused(path, response)
            time.sleep(_wait_s(attempt, response.headers.get("retry-after")))
        raise AssertionError("the last attempt returns or raises")


def _check_records(name: str, given: object, kind: type[Struct]) -> None:
    """Raise TypeError unless ``given`` is a sequence of ``kind``."""
    wanted = f"{name}: give a sequence of {kind.__name__} records, such as a list"
    if not isinstance(given, Sequence) or isinstance(given, str | bytes):
        raise TypeError(f"{wanted}, not one {type(given).__name__}")
    for place, record in enumerate(given):
        if not isinstance(record, kind):
            raise TypeError(f"{wanted}; number {place} is of type {type(record).__name__}")


def _decode(path: str, data: bytes, answer: type[T]) -> T:
    try:
        return msgspec.json.decode(data, type=answer)
    except msgspec.MsgspecError as error:
        raise ClientError(f"{path}: not an answer of this API: {error}") from error


def _refused(path: str, response: httpx.Response) -> ClientError:
    try:
        problem = msgspec.json.decode(response.content, type=Problem)
    except msgspec.MsgspecError:
        return ClientError(f"{path}: HTTP {response.status_code}")
    return ClientError(f"{path}: {problem.code}: {problem.detail}", problem)


def _wait_s(attempt: int, retry_after: str | None) -> float:
    """Return how long to wait: what the service says, else exponentially more with half of it at random."""
    if retry_after is not None and retry_after.isdecimal():
        return min(float(retry_after), _MAX_WAIT_S)
    longest = min(_FIRST_WAIT_S * 2**attempt, _MAX_WAIT_S)
    return float(longest * random.uniform(0.5, 1.0))  # noqa: S311 - spreads clients out; not a secret
