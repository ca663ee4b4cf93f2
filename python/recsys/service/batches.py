"""``/v1/recommend/batch``: the lists of one page, none of which repeats an item of those before it."""

from __future__ import annotations

import msgspec

from recsys.contracts.http import MAX_REQUEST_ID, BatchRequest
from recsys.contracts.problems import ProblemCode
from recsys.service.bodies import decode_body
from recsys.service.lists import Lists
from recsys.service.problems import ProblemError
from recsys.service.rate_limits import RateLimits
from recsys.service.state import State
from recsys.service.transport import Request, Response


class Batches:
    """The handler of ``/v1/recommend/batch``."""

    def __init__(self, state: State, lists: Lists, rate_limits: RateLimits | None) -> None:
        self._state = state
        self._lists = lists
        self._rate_limits = rate_limits
        self._decoder = msgspec.json.Decoder(BatchRequest)

    def recommend(self, request: Request) -> Response:
        """Answer with one list for each request, in their order; all of them, or a problem.

        Each list counts as a request of its own. The batch was counted as one before its body was read.

        The request id of list n is that of the batch with ``.n`` after it, so that outcomes join their list.
        """
        body = decode_body(request, self._decoder)
        tenant = self._state.tenant(request.principal.tenant_id)
        if self._rate_limits is not None:
            self._rate_limits.count_lists(tenant, request.principal, len(body.requests))
        longest = f"{request.request_id}.{len(body.requests)}"
        if len(longest) > MAX_REQUEST_ID:
            raise ProblemError(
                ProblemCode.INVALID_REQUEST, f"X-Request-Id: {longest} is longer than {MAX_REQUEST_ID}"
            )
        queries = []
        for index, one in enumerate(body.requests):
            if one.page is not None:
                raise ProblemError(
                    ProblemCode.INVALID_REQUEST, f"requests[{index}].page: a list of a batch has no pages"
                )
            try:
                queries.append(
                    self._lists.make_query(one, request.principal, f"{request.request_id}.{index + 1}")
                )
            except ProblemError as error:
                raise ProblemError(
                    error.code, f"requests[{index}]: {error.detail}", headers=error.headers
                ) from error
        shown: list[str] = []
        parts: list[bytes] = []
        for index, query in enumerate(queries):
            part, served = self._lists.serve(
                "batch", f"{request.request_id}.{index + 1}", request.started, query, shown
            )
            parts.append(part)
            shown += served.item_ids
        return Response(200, b'{"lists":[' + b",".join(parts) + b"]}")
