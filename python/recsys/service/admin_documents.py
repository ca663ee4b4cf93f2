"""Config and rules over HTTP: show, put, history, roll back."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from recsys.contracts.admin import (
    DEFAULT_PAGE,
    MAX_PAGE,
    Comment,
    DocumentHistory,
    DocumentVersion,
    RollbackRequest,
    RulesVersion,
    Version,
)
from recsys.contracts.documents import InvalidDocument
from recsys.contracts.problems import ProblemCode
from recsys.contracts.rules import parse_rules
from recsys.control.store import NotFoundError
from recsys.control.versions import DocumentKind, Revision
from recsys.service.bodies import decode_body, decode_query, require_json
from recsys.service.entity_tags import expect_current, not_modified, tag_header
from recsys.service.problems import ProblemError
from recsys.service.rule_warnings import rule_warnings
from recsys.service.state import State
from recsys.service.transport import Request, Response, json_response

_INVALID: dict[DocumentKind, ProblemCode] = {
    "config": ProblemCode.INVALID_CONFIG,
    "rules": ProblemCode.INVALID_RULES,
    "experiments": ProblemCode.INVALID_REQUEST,
}
_NOT_FOUND: dict[DocumentKind, ProblemCode] = {
    "config": ProblemCode.CONFIG_NOT_FOUND,
    "rules": ProblemCode.RULES_NOT_FOUND,
    "experiments": ProblemCode.NOT_FOUND,
}


class ShowQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """``version`` shows one of the history."""

    version: Version | None = None


class PutQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """``comment`` says why."""

    comment: Comment = ""


class PageQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """``limit`` is the most to return."""

    limit: Annotated[int, Meta(ge=1, le=MAX_PAGE)] = DEFAULT_PAGE


class AdminDocuments:
    """The handlers of one kind of document."""

    def __init__(self, state: State, kind: DocumentKind) -> None:
        self._state = state
        self._plane = state.plane
        self._kind = kind
        self._rollback = msgspec.json.Decoder(RollbackRequest)

    def show(self, request: Request) -> Response:
        """The current document, or that of ``version``."""
        wanted = decode_query(request, ShowQuery).version
        try:
            stored = self._plane.document(request.principal.tenant_id, self._kind, wanted)
        except NotFoundError as error:
            raise self._not_found(request, error) from error
        version = stored.revision.version
        return not_modified(request.headers, version) or Response(
            200, stored.data, headers=tag_header(version)
        )

    def put(self, request: Request) -> Response:
        """Make a document current."""
        require_json(request.headers)
        comment = decode_query(request, PutQuery).comment
        try:
            revision = self._plane.put(
                request.principal.tenant_id,
                self._kind,
                request.body,
                author=request.principal.subject,
                comment=comment,
                expected=self._expected(request),
            )
        except InvalidDocument as error:
            raise ProblemError(_INVALID[self._kind], str(error)) from error
        return self._changed(revision, self._put_answer(request, revision))

    def history(self, request: Request) -> Response:
        """The newest versions."""
        tenant_id = request.principal.tenant_id
        limit = decode_query(request, PageQuery).limit
        revisions = self._plane.history(tenant_id, self._kind, limit)
        # A version that is put in between is not among the revisions, and then none of them is current.
        current = self._plane.document(tenant_id, self._kind).revision.number if revisions else 0
        return json_response(
            200,
            DocumentHistory([describe_revision(one, is_current=one.number == current) for one in revisions]),
        )

    def roll_back(self, request: Request) -> Response:
        """Make an earlier version current again."""
        body = decode_body(request, self._rollback)
        try:
            revision = self._plane.roll_back(
                request.principal.tenant_id,
                self._kind,
                author=request.principal.subject,
                comment=body.comment,
                to=body.to,
                expected=self._expected(request),
            )
        except NotFoundError as error:
            raise self._not_found(request, error) from error
        return self._changed(revision, describe_revision(revision, is_current=True))

    def _expected(self, request: Request) -> str | None:
        try:
            current = self._plane.document(request.principal.tenant_id, self._kind).revision.version
        except NotFoundError:
            current = None
        return expect_current(request.headers, current, self._kind)

    def _not_found(self, request: Request, error: NotFoundError) -> ProblemError:
        """Return the 404 that says whether the document or the tenant is missing."""
        try:
            self._plane.tenant(request.principal.tenant_id)
        except NotFoundError as missing:
            return ProblemError(ProblemCode.TENANT_NOT_FOUND, str(missing))
        return ProblemError(_NOT_FOUND[self._kind], str(error))

    def _put_answer(self, request: Request, revision: Revision) -> DocumentVersion:
        """Return what a ``PUT`` made; a tenant that is not served yet has no catalog to warn by."""
        made = describe_revision(revision, is_current=True)
        tenant = self._state.tenants.get(request.principal.tenant_id)
        if self._kind != "rules" or tenant is None:
            return made
        return RulesVersion(
            version=made.version,
            number=made.number,
            author=made.author,
            comment=made.comment,
            time=made.time,
            is_current=made.is_current,
            warnings=rule_warnings(tenant, parse_rules(request.body)),
        )

    @staticmethod
    def _changed(revision: Revision, answer: DocumentVersion) -> Response:
        response = json_response(200, answer)
        response.headers = tag_header(revision.version)
        return response


def describe_revision(revision: Revision, *, is_current: bool) -> DocumentVersion:
    """Return a revision as the API tells it."""
    return DocumentVersion(
        version=revision.version,
        number=revision.number,
        author=revision.author,
        comment=revision.comment,
        time=revision.time,
        is_current=is_current,
    )
