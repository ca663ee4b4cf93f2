"""Experiments over HTTP: create, start, ramp, halt, resume, stop and roll back one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

import msgspec

from recsys.contracts.admin import DocumentVersion, ExperimentChange, RampRequest
from recsys.contracts.documents import InvalidDocument, parse_json
from recsys.contracts.problems import ProblemCode
from recsys.control import experiments
from recsys.control.store import NotFoundError
from recsys.control.versions import Revision
from recsys.service.admin_documents import describe_revision
from recsys.service.bodies import decode_body, require_json
from recsys.service.problems import ProblemError
from recsys.service.state import State
from recsys.service.transport import Request, Response, json_response


class AdminExperiments:
    """The handlers of single experiments; the document as a whole is handled as config and rules are."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._change = msgspec.json.Decoder(ExperimentChange)
        self._ramp = msgspec.json.Decoder(RampRequest)

    def create(self, request: Request) -> Response:
        """Keep a draft."""
        require_json(request.headers)
        try:
            value = parse_json(request.body, "experiment")
        except InvalidDocument as error:
            raise ProblemError(ProblemCode.INVALID_REQUEST, str(error)) from error
        tenant_id, author = request.principal.tenant_id, request.principal.subject
        return self._answer(
            request,
            lambda: experiments.create_experiment(self._state.plane, tenant_id, value, author=author),
        )

    def start(self, request: Request) -> Response:
        """Let the arms rank."""
        return self._dated(request, partial(experiments.start_experiment, registry=self._state.registry))

    def stop(self, request: Request) -> Response:
        """End an experiment."""
        return self._dated(request, experiments.stop_experiment)

    def kill(self, request: Request) -> Response:
        """Halt the arms."""
        return self._switch(request, on=True)

    def resume(self, request: Request) -> Response:
        """Take the kill switch back."""
        return self._switch(request, on=False)

    def ramp(self, request: Request) -> Response:
        """Change the share of users who take part."""
        body = decode_body(request, self._ramp)
        tenant_id, name = self._place(request)
        return self._answer(
            request,
            lambda: experiments.set_traffic_share(
                self._state.plane,
                tenant_id,
                name,
                body.traffic_share,
                author=request.principal.subject,
                comment=body.comment,
            ),
        )

    def roll_back(self, request: Request) -> Response:
        """Stop the arms and make the versions of the rollback path current."""
        body = decode_body(request, self._change)
        tenant_id, name = self._place(request)

        def change() -> Revision:
            plane = self._state.plane
            experiments.roll_back_experiment(
                plane,
                tenant_id,
                name,
                registry=self._state.registry,
                now=datetime.now(UTC),
                author=request.principal.subject,
                comment=body.comment,
            )
            return plane.document(tenant_id, "experiments").revision

        return self._answer(request, change)

    def _dated(self, request: Request, change: Callable[..., Revision]) -> Response:
        body = decode_body(request, self._change)
        tenant_id, name = self._place(request)
        return self._answer(
            request,
            lambda: change(
                self._state.plane,
                tenant_id,
                name,
                now=datetime.now(UTC),
                author=request.principal.subject,
                comment=body.comment,
            ),
        )

    def _switch(self, request: Request, *, on: bool) -> Response:
        body = decode_body(request, self._change)
        tenant_id, name = self._place(request)
        return self._answer(
            request,
            lambda: experiments.set_kill_switch(
                self._state.plane,
                tenant_id,
                name,
                on=on,
                author=request.principal.subject,
                comment=body.comment,
            ),
        )

    @staticmethod
    def _place(request: Request) -> tuple[str, str]:
        return request.principal.tenant_id, request.parameters["experiment_id"]

    def _answer(self, request: Request, change: Callable[[], Revision]) -> Response:
        self._state.plane.tenant(request.principal.tenant_id)
        try:
            revision = change()
        except NotFoundError as error:
            raise ProblemError(ProblemCode.NOT_FOUND, str(error)) from error
        except InvalidDocument as error:
            raise ProblemError(ProblemCode.UNPROCESSABLE_ENTITY, str(error)) from error
        described: DocumentVersion = describe_revision(revision, is_current=True)
        return json_response(200, described)
