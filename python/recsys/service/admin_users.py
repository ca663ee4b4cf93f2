"""Erasing a user over HTTP."""

from __future__ import annotations

from recsys.contracts.admin import ErasedUser
from recsys.contracts.errors import RecsysError, UsageError
from recsys.contracts.problems import ProblemCode
from recsys.erasure.erase import erase_user
from recsys.eventlog.recent import user_key
from recsys.service.problems import ProblemError
from recsys.service.refusals import RETRY_AFTER_S, as_problem
from recsys.service.state import State
from recsys.service.transport import Request, Response, json_response


class AdminUsers:
    """The handler of ``users/{pseudonym}``."""

    def __init__(self, state: State) -> None:
        self._state = state

    def erase(self, request: Request) -> Response:
        """Remove a user from this host's logs, all releases and the audit comments; takes seconds."""
        try:
            done = erase_user(
                self._state.plane,
                self._state.registry,
                self._state.data_dir,
                request.principal.tenant_id,
                request.parameters["pseudonym"],
                actor=request.principal.subject,
            )
        except UsageError as error:
            raise ProblemError(ProblemCode.INVALID_REQUEST, str(error)) from error
        except RecsysError as error:
            # A compaction holds the log, for example: what was not removed yet can be later.
            problem = as_problem(error)
            headers = [("retry-after", str(RETRY_AFTER_S))]
            raise problem or ProblemError(ProblemCode.OVERLOADED, str(error), headers=headers) from error
        # What the next requests would be anchored by; the logs above are what lasts.
        tenant, pseudonym = request.principal.tenant_id, request.parameters["pseudonym"]
        self._state.recent.forget_user(user_key(tenant, pseudonym))
        self._state.seen.forget_user(tenant, pseudonym)
        return json_response(
            200,
            ErasedUser(
                subject=done.subject,
                log_records=done.live.records + done.compacted.records,
                signals=done.signals.artifacts,
                releases=done.signals.releases,
                comments=done.comments,
                audit_entry=done.audit_entry,
            ),
        )
