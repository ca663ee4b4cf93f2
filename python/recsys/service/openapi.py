"""The OpenAPI document, generated from the structs of the contract and the table of operations."""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

import recsys
from recsys.contracts import http
from recsys.contracts.problems import STATUS_AND_TITLE, TOO_MANY_REQUESTS, Problem, ProblemCode
from recsys.service.operations import OPERATIONS, Operation, Shape
from recsys.service.problems import PROBLEM_TYPE
from recsys.service.transport import JSON_TYPE

Json = dict[str, object]
_REF = "#/components/schemas/{name}"
_HEALTH_PATHS = ("/readyz", "/healthz")
_PARAMETER = re.compile(r"{(\w+)}")
_TAG = {"description": "The quoted version of the document.", "schema": {"type": "string"}}
_SECURITY = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key, or a JSON Web Token."},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}


def build_openapi() -> Json:
    """Return the document (OpenAPI 3.1)."""
    shapes = [shape for operation in OPERATIONS for shape in (operation.body, operation.answer) if shape]
    _, schemas = _generate([Problem, *shapes])
    paths: dict[str, Json] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _describe(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "recsys", "version": recsys.__version__, "license": {"name": "Apache-2.0"}},
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": _SECURITY},
        "x-problem-codes": {
            str(code): {"status": status, "title": title}
            for code, (status, title) in STATUS_AND_TITLE.items()
        },
    }


def _describe(operation: Operation) -> Json:
    described: Json = {
        "operationId": _name(operation),
        "summary": operation.summary,
        "parameters": _parameters(operation),
        "responses": _responses(operation),
    }
    if operation.roles is not None:
        described["description"] = f"For the roles {', '.join(sorted(operation.roles))}."
        described["security"] = [{name: []} for name in _SECURITY]
    if operation.body is not None:
        described["requestBody"] = {"required": True, "content": _content(operation.body, JSON_TYPE)}
    return described


def _name(operation: Operation) -> str:
    path = re.sub(r"[^a-z]+", "_", operation.path.removeprefix("/v1/").lower()).strip("_")
    return f"{operation.method.lower()}_{path}" if operation.is_admin else path


def _parameters(operation: Operation) -> list[Json]:
    parameters: list[Json] = [
        _parameter(name, "path", msgspec.json.schema(http.Name), is_required=True)
        for name in _PARAMETER.findall(operation.path)
    ]
    if operation.query is not None:
        for field in msgspec.structs.fields(operation.query):
            schema = msgspec.json.schema(field.type)
            parameters.append(_parameter(field.name, "query", _without_null(schema)))
    parameters.append(_parameter("X-Request-Id", "header", {"type": "string"}))
    if operation.roles is not None:
        tenant = "The tenant; has to be that of the credentials, and of the path."
        parameters.append(_parameter("X-Org-Id", "header", msgspec.json.schema(http.Name), tenant))
    if operation.is_tagged:
        names = ["If-None-Match"] if operation.method == "GET" else ["If-Match"]
        parameters += [_parameter(name, "header", {"type": "string"}) for name in names]
    return parameters


def _parameter(
    name: str, place: str, schema: Json, description: str = "", *, is_required: bool = False
) -> Json:
    parameter: Json = {"name": name, "in": place, "required": is_required, "schema": schema}
    return parameter | {"description": description} if description else parameter


def _without_null(schema: Json) -> Json:
    """Return the schema of a parameter: one that is left out is not there, rather than null."""
    choices = schema.get("anyOf")
    if not isinstance(choices, list):
        return schema
    return next(choice for choice in choices if choice != {"type": "null"})


def _responses(operation: Operation) -> Json:
    good: Json = {"description": "OK", "content": _content(operation.answer, operation.media_type)}
    responses: Json = {"200": good}
    if operation.is_tagged:
        good["headers"] = {"ETag": _TAG}
        if operation.method == "GET":
            responses["304"] = {"description": "The caller has this version", "headers": {"ETag": _TAG}}
    if operation.path in _HEALTH_PATHS:
        responses["503"] = {
            "description": "Something is missing",
            "content": _content(http.HealthResponse, JSON_TYPE),
        }
    codes: dict[int, list[str]] = {}
    for code in operation.problems:
        codes.setdefault(STATUS_AND_TITLE[code][0], []).append(code)
        if code == ProblemCode.OVERLOADED and operation.is_limited:
            codes.setdefault(TOO_MANY_REQUESTS, []).append(code)
    for status, names in sorted(codes.items()):
        responses[str(status)] = {
            "description": ", ".join(dict.fromkeys(names)),
            "content": _content(Problem, PROBLEM_TYPE),
        }
    return responses


def _content(shape: Shape | None, media_type: str) -> Json:
    schema: Json = {}
    if isinstance(shape, type):
        schema = {"$ref": _REF.format(name=shape.__name__)}
    elif shape is not None:
        (schema,), _ = _generate([shape])
    return {media_type: {"schema": schema}}


def _generate(shapes: Iterable[Shape]) -> tuple[tuple[Json, ...], Json]:
    """Return the schema of each shape, and the components that these refer to."""

    def describe_custom(kind: type) -> Json:
        if kind is object:
            return {"description": "Any JSON value."}
        raise NotImplementedError(f"no schema of {kind}")

    return msgspec.json.schema_components(shapes, schema_hook=describe_custom, ref_template=_REF)
