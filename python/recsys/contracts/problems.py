"""Problem bodies (RFC 9457) and every code that one may carry, each with its status and title."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class ProblemCode(StrEnum):
    """The codes of the API; a client may branch on them, never on titles or details."""

    INVALID_REQUEST = "RECSYS_INVALID_REQUEST"
    INVALID_CONFIG = "RECSYS_INVALID_CONFIG"
    INVALID_RULES = "RECSYS_INVALID_RULES"
    INVALID_TARGETS = "RECSYS_INVALID_TARGETS"
    INVALID_TENANT = "RECSYS_INVALID_TENANT"
    AUTH_REQUIRED = "RECSYS_AUTH_REQUIRED"
    AUTH_INVALID = "RECSYS_AUTH_INVALID"
    FORBIDDEN = "RECSYS_FORBIDDEN"
    TENANT_SCOPE_REQUIRED = "RECSYS_TENANT_SCOPE_REQUIRED"
    TENANT_SCOPE_MISMATCH = "RECSYS_TENANT_SCOPE_MISMATCH"
    TENANT_SCOPE_INVALID = "RECSYS_TENANT_SCOPE_INVALID"
    NOT_FOUND = "RECSYS_NOT_FOUND"
    TENANT_NOT_FOUND = "RECSYS_TENANT_NOT_FOUND"
    CONFIG_NOT_FOUND = "RECSYS_CONFIG_NOT_FOUND"
    RULES_NOT_FOUND = "RECSYS_RULES_NOT_FOUND"
    METHOD_NOT_ALLOWED = "RECSYS_METHOD_NOT_ALLOWED"
    VERSION_MISMATCH = "RECSYS_VERSION_MISMATCH"
    PAYLOAD_TOO_LARGE = "RECSYS_PAYLOAD_TOO_LARGE"
    UNSUPPORTED_MEDIA_TYPE = "RECSYS_UNSUPPORTED_MEDIA_TYPE"
    UNPROCESSABLE_ENTITY = "RECSYS_UNPROCESSABLE_ENTITY"
    EXPLAIN_TOO_LARGE = "RECSYS_EXPLAIN_TOO_LARGE"
    INTERNAL = "RECSYS_INTERNAL"
    OVERLOADED = "RECSYS_OVERLOADED"
    ARTIFACT_INCOMPATIBLE = "RECSYS_ARTIFACT_INCOMPATIBLE"


STATUS_AND_TITLE: dict[ProblemCode, tuple[int, str]] = {
    ProblemCode.INVALID_REQUEST: (400, "The request is not valid"),
    ProblemCode.INVALID_CONFIG: (400, "The config document is not valid"),
    ProblemCode.INVALID_RULES: (400, "The rules document is not valid"),
    ProblemCode.INVALID_TARGETS: (400, "The targets are not valid"),
    ProblemCode.INVALID_TENANT: (400, "The tenant is not valid"),
    ProblemCode.AUTH_REQUIRED: (401, "Credentials are required"),
    ProblemCode.AUTH_INVALID: (401, "The credentials are not valid"),
    ProblemCode.FORBIDDEN: (403, "This is not allowed"),
    ProblemCode.TENANT_SCOPE_REQUIRED: (403, "The credentials name no tenant"),
    ProblemCode.TENANT_SCOPE_MISMATCH: (403, "The tenants of credentials, header and path disagree"),
    ProblemCode.TENANT_SCOPE_INVALID: (403, "The tenant of the credentials is not valid"),
    ProblemCode.NOT_FOUND: (404, "There is nothing at this path"),
    ProblemCode.TENANT_NOT_FOUND: (404, "The tenant does not exist"),
    ProblemCode.CONFIG_NOT_FOUND: (404, "There is no such surface, release or configuration"),
    ProblemCode.RULES_NOT_FOUND: (404, "There are no such rules"),
    ProblemCode.METHOD_NOT_ALLOWED: (405, "The path does not take this method"),
    ProblemCode.VERSION_MISMATCH: (409, "The document has changed since it was read"),
    ProblemCode.PAYLOAD_TOO_LARGE: (413, "The body is too large"),
    ProblemCode.UNSUPPORTED_MEDIA_TYPE: (415, "The body is not JSON"),
    ProblemCode.UNPROCESSABLE_ENTITY: (422, "The request cannot be processed"),
    ProblemCode.EXPLAIN_TOO_LARGE: (422, "The list is too long to explain"),
    ProblemCode.INTERNAL: (500, "The service failed"),
    ProblemCode.OVERLOADED: (503, "The service is overloaded"),
    ProblemCode.ARTIFACT_INCOMPATIBLE: (503, "An artifact cannot be used"),
}


class Problem(Struct, frozen=True):
    """The body of every error: ``type`` points into the docs, ``instance`` is the path of the request."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: ProblemCode
    request_id: str


TOO_MANY_REQUESTS = 429
"""The other status of ``OVERLOADED``: this caller asks too much, others may be served."""


def make_problem(
    code: ProblemCode, detail: str, *, instance: str, request_id: str, status: int | None = None
) -> Problem:
    """Return the body for ``code``; its status is in it, that of the code unless another is given."""
    usual, title = STATUS_AND_TITLE[code]
    if status == TOO_MANY_REQUESTS:
        title = "Too many requests"
    return Problem(f"/docs#{code}", title, status or usual, detail, instance, code, request_id)
