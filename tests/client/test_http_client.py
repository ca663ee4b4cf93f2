"""The client: typed answers, retries where they are harmless, and errors that say what the service said."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import httpx
import msgspec
import pytest

from recsys.client.http_client import Client, ClientError
from recsys.contracts.events import EventsRequest, EventsResponse, RejectedEvent
from recsys.contracts.http import (
    BatchRequest,
    BatchResponse,
    ListMeta,
    ListResponse,
    RankedItem,
    RecommendRequest,
    User,
)
from recsys.contracts.problems import ProblemCode, make_problem
from recsys.contracts.records import Outcome

LIST = ListResponse([RankedItem("i", 1, 0.5)], ListMeta("t", "home", "default", "a", "c", "r", "m", "id"), [])
REQUEST = RecommendRequest(surface="home", user=User(user_id="u"))


def client(answer: Callable[[httpx.Request], httpx.Response], **settings: object) -> Client:
    return Client("http://service", transport=httpx.MockTransport(answer), **settings)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waited: list[float] = []
    monkeypatch.setattr("time.sleep", waited.append)
    return waited


def outcomes(count: int) -> list[Outcome]:
    ts = datetime(2026, 1, 1, tzinfo=UTC)
    return [Outcome(f"r{number}", "u", "i", "click", ts) for number in range(count)]


def test_a_list_is_asked_for_and_typed() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.headers["authorization"] == "Bearer key"
        assert request.headers["x-org-id"] == "t"
        assert request.headers["x-request-id"] == "id"
        assert msgspec.json.decode(request.content, type=RecommendRequest) == REQUEST
        return httpx.Response(200, content=msgspec.json.encode(LIST))

    with client(answer, api_key="key", tenant="t") as one:
        assert one.recommend(REQUEST, request_id="id") == LIST


def test_the_lists_of_a_page_are_asked_for_at_once() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/v1/recommend/batch"
        count = len(msgspec.json.decode(request.content, type=BatchRequest).requests)
        return httpx.Response(200, content=msgspec.json.encode(BatchResponse([LIST] * count)))

    with client(answer) as one:
        assert one.recommend_batch(BatchRequest([REQUEST, REQUEST])).lists == [LIST, LIST]


def test_events_go_in_batches_and_places_are_those_of_the_caller() -> None:
    sizes: list[int] = []

    def answer(request: httpx.Request) -> httpx.Response:
        events = msgspec.json.decode(request.content, type=EventsRequest)
        sizes.append(len(events.outcomes))
        last = RejectedEvent(len(events.outcomes) - 1, "outcome", ProblemCode.INVALID_REQUEST, "bad")
        return httpx.Response(200, content=msgspec.json.encode(EventsResponse(sizes[-1] - 1, 0, [last])))

    done = client(answer).send_events(outcomes(2500))
    assert sizes == [1000, 1000, 500]
    assert done.accepted == 2497
    assert [one.index for one in done.rejected] == [999, 1999, 2499]


def test_an_overloaded_service_is_asked_again_when_it_says(waits: list[float]) -> None:
    answers = iter([httpx.Response(503, headers={"retry-after": "3"}), httpx.ConnectError("refused")])

    def answer(request: httpx.Request) -> httpx.Response:
        one = next(answers, httpx.Response(200, content=msgspec.json.encode(EventsResponse(1, 0, []))))
        if isinstance(one, Exception):
            raise one
        return one

    assert client(answer).send_events(outcomes(1)).accepted == 1
    assert waits[0] == 3.0
    assert 0 < waits[1] <= 0.2


def test_a_refusal_says_what_the_service_said(waits: list[float]) -> None:
    problem = make_problem(ProblemCode.UNPROCESSABLE_ENTITY, "user: give one", instance="/", request_id="r")
    asked: list[int] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(1)
        return httpx.Response(422, content=msgspec.json.encode(problem))

    with pytest.raises(ClientError, match="RECSYS_UNPROCESSABLE_ENTITY: user: give one") as caught:
        client(answer).recommend(REQUEST)
    assert caught.value.problem == problem
    assert (len(asked), waits) == (1, [])


@pytest.mark.parametrize("content", [b"<html>", b"{}"])
def test_something_else_than_the_api_is_an_error(content: bytes) -> None:
    with pytest.raises(ClientError, match="not an answer of this API"):
        client(lambda request: httpx.Response(200, content=content)).recommend(REQUEST)
    with pytest.raises(ClientError, match="HTTP 500"):
        client(lambda request: httpx.Response(500, content=content)).recommend(REQUEST)


def test_no_answer_is_an_error_after_the_last_try(waits: list[float]) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with pytest.raises(ClientError, match="http://service/v1/recommend: no answer: refused"):
        client(refuse, retries=1).recommend(REQUEST)
    assert len(waits) == 1


def test_every_try_for_a_list_has_one_request_id(waits: list[float]) -> None:
    sent: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request.headers["x-request-id"])
        if len(sent) % 3:
            raise httpx.ReadTimeout("too slow")
        return httpx.Response(200, content=msgspec.json.encode(LIST))

    with client(answer) as one:
        one.recommend(REQUEST)
        one.recommend(REQUEST)
    assert len(waits) == 4
    assert len(set(sent[:3])) == len(set(sent[3:])) == 1
    assert sent[0] != sent[3]


def test_a_closed_client_says_so() -> None:
    one = client(lambda request: httpx.Response(200))
    one.close()
    with pytest.raises(ClientError, match="the client is closed"):
        one.recommend(REQUEST)


def test_events_that_are_no_sequence_of_records_are_refused_by_name() -> None:
    one = client(lambda request: httpx.Response(200))
    with pytest.raises(TypeError, match=r"outcomes: give a sequence of Outcome records, .*, not one Outcome"):
        one.send_events(outcomes(1)[0])  # type: ignore[arg-type]
    with pytest.raises(
        TypeError, match=r"exposures: give a sequence of Exposure .*; number 0 is of type Outcome"
    ):
        one.send_events(exposures=outcomes(1))  # type: ignore[arg-type]
