"""The OpenAPI document, generated from the structs of the contract."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from recsys import __version__
from recsys.contracts import http
from recsys.contracts.problems import STATUS_AND_TITLE, Problem, ProblemCode
from recsys.service.problems import PROBLEM_TYPE
from recsys.service.transport import JSON_TYPE

Json = dict[str, object]
_REF = "#/components/schemas/{name}"


class _Operation(Struct, frozen=True):
    path: str
    summary: str
    body: type[Struct] | None
    answer: type[Struct] | None
    problems: tuple[ProblemCode, ...] = ()
    media_type: str = JSON_TYPE


_RANKING_PROBLEMS = (
    ProblemCode.INVALID_REQUEST,
    ProblemCode.INVALID_TENANT,
    ProblemCode.FORBIDDEN,
    ProblemCode.TENANT_NOT_FOUND,
    ProblemCode.CONFIG_NOT_FOUND,
    ProblemCode.PAYLOAD_TOO_LARGE,
    ProblemCode.UNSUPPORTED_MEDIA_TYPE,
    ProblemCode.UNPROCESSABLE_ENTITY,
    ProblemCode.EXPLAIN_TOO_LARGE,
    ProblemCode.INTERNAL,
    ProblemCode.ARTIFACT_INCOMPATIBLE,
)

_OPERATIONS = (
    _Operation(
        "/v1/recommend",
        "The best items for a user",
        http.RecommendRequest,
        http.ListResponse,
        _RANKING_PROBLEMS,
    ),
    _Operation(
        "/v1/recommend/validate",
        "The request as it would be ranked",
        http.RecommendRequest,
        http.ValidateResponse,
        _RANKING_PROBLEMS,
    ),
    _Operation(
        "/v1/similar",
        "The best items beside one item",
        http.SimilarRequest,
        http.ListResponse,
        _RANKING_PROBLEMS,
    ),
    _Operation("/livez", "The process answers", None, http.HealthResponse),
    _Operation("/readyz", "What serving needs is there", None, http.HealthResponse),
    _Operation("/healthz", "The same as /readyz", None, http.HealthResponse),
    _Operation("/version", "What runs", None, http.VersionResponse),
    _Operation("/metrics", "Prometheus metrics", None, None, media_type="text/plain"),
    _Operation("/openapi.json", "This document", None, None),
    _Operation("/docs", "This document, for people", None, None, media_type="text/html"),
)
_HEALTH_PATHS = ("/readyz", "/healthz")


def build_openapi() -> Json:
    """Return the document (OpenAPI 3.1)."""
    structs: set[type[Struct]] = {Problem}
    for operation in _OPERATIONS:
        structs.update(struct for struct in (operation.body, operation.answer) if struct is not None)
    ordered = sorted(structs, key=lambda struct: struct.__name__)
    _, schemas = msgspec.json.schema_components(ordered, ref_template=_REF)
    return {
        "openapi": "3.1.0",
        "info": {"title": "recsys", "version": __version__, "license": {"name": "Apache-2.0"}},
        "paths": {operation.path: _path_item(operation) for operation in _OPERATIONS},
        "components": {"schemas": schemas},
        "x-problem-codes": {
            str(code): {"status": status, "title": title}
            for code, (status, title) in STATUS_AND_TITLE.items()
        },
    }


def _path_item(operation: _Operation) -> Json:
    item: Json = {
        "operationId": operation.path.strip("/").replace("/", "_").replace(".", "_"),
        "summary": operation.summary,
        "parameters": [
            {"name": "X-Request-Id", "in": "header", "required": False, "schema": {"type": "string"}},
            *([_TENANT_PARAMETER] if operation.body else []),
        ],
        "responses": _responses(operation),
    }
    if operation.body is None:
        return {"get": item}
    item["requestBody"] = {"required": True, "content": _content(operation.body, JSON_TYPE)}
    return {"post": item}


_TENANT_PARAMETER: Json = {
    "name": "X-Org-Id",
    "in": "header",
    "required": False,
    "schema": msgspec.json.schema(http.Name),
    "description": "The tenant, in development mode.",
}


def _responses(operation: _Operation) -> Json:
    responses: Json = {
        "200": {"description": "OK", "content": _content(operation.answer, operation.media_type)}
    }
    if operation.path in _HEALTH_PATHS:
        responses["503"] = {
            "description": "Something is missing",
            "content": _content(http.HealthResponse, JSON_TYPE),
        }
    codes: dict[int, list[str]] = {}
    for code in operation.problems:
        codes.setdefault(STATUS_AND_TITLE[code][0], []).append(code)
    for status, names in sorted(codes.items()):
        responses[str(status)] = {
            "description": ", ".join(names),
            "content": _content(Problem, PROBLEM_TYPE),
        }
    return responses


def _content(struct: type[Struct] | None, media_type: str) -> Json:
    schema: Json = {} if struct is None else {"$ref": _REF.format(name=struct.__name__)}
    return {media_type: {"schema": schema}}
