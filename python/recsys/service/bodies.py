"""Reads what a caller sent: a JSON body into a struct, the parameters of a query string."""

from __future__ import annotations

from typing import TypeVar
from urllib.parse import parse_qsl

import msgspec

from recsys.contracts.allowed_values import name_values
from recsys.contracts.patterns import in_words
from recsys.contracts.problems import ProblemCode
from recsys.service.problems import ProblemError
from recsys.service.transport import JSON_TYPE, Headers, Request

T = TypeVar("T")


def require_json(headers: Headers) -> None:
    """Raise 415 unless the body is said to be JSON."""
    content_type = headers.get("content-type")
    if content_type != JSON_TYPE and not _is_json(content_type):
        raise ProblemError(
            ProblemCode.UNSUPPORTED_MEDIA_TYPE, f"content-type is {content_type!r}; send {JSON_TYPE}"
        )


def decode_body(
    request: Request, decoder: msgspec.json.Decoder[T], code: ProblemCode = ProblemCode.INVALID_REQUEST
) -> T:
    """Return the body as a struct; raises 415 when it is not said to be JSON, 400 when it is not valid."""
    require_json(request.headers)
    try:
        return decoder.decode(request.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        said = name_values(str(error), decoder.type) if request.body.strip() else _empty(decoder)
        raise ProblemError(code, in_words(said)) from error


def _empty(decoder: msgspec.json.Decoder[T]) -> str:
    try:
        decoder.decode(b"{}")
    except msgspec.MsgspecError as error:
        return f"the body is empty; send a JSON object ({error} of `{{}}`)"
    return "the body is empty; send {}"


def decode_query(request: Request, fields: type[T]) -> T:
    """Return the query string as a struct of its parameters; raises 400 naming the one that is wrong.

    Unknown parameters are refused, as unknown fields are.
    """
    try:
        pairs = parse_qsl(
            request.query,
            keep_blank_values=True,
            strict_parsing=bool(request.query),
            max_num_fields=32,
            errors="strict",
        )
        given = msgspec.convert(dict(pairs), fields, strict=False)
    except (ValueError, msgspec.ValidationError) as error:
        raise ProblemError(ProblemCode.INVALID_REQUEST, f"query: {in_words(str(error))}") from error
    if len(pairs) != len(dict(pairs)):
        raise ProblemError(ProblemCode.INVALID_REQUEST, "query: a parameter stands twice")
    return given


def _is_json(content_type: str | None) -> bool:
    return content_type is not None and content_type.partition(";")[0].strip().lower() == JSON_TYPE
