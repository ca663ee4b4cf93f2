"""The API described: ``/openapi.json`` for programs, ``/docs`` for people; nothing is loaded from outside."""

from __future__ import annotations

from functools import cached_property
from importlib.resources import files

import msgspec

from recsys.service.openapi import build_openapi
from recsys.service.transport import Request, Response

_HTML_TYPE = "text/html; charset=utf-8"
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'"


class Documentation:
    """The handlers of ``/openapi.json`` and ``/docs``; both bodies are made once."""

    def __init__(self) -> None:
        self._page = files("recsys.service").joinpath("docs_page.html").read_bytes()

    def openapi(self, request: Request) -> Response:  # noqa: ARG002
        """The OpenAPI document."""
        return Response(200, self._openapi)

    @cached_property
    def _openapi(self) -> bytes:
        """Made when it is asked for: it takes a tenth of a second, which no start should wait for."""
        return msgspec.json.encode(build_openapi())

    def page(self, request: Request) -> Response:  # noqa: ARG002
        """A page that renders the OpenAPI document."""
        return Response(200, self._page, _HTML_TYPE, [("content-security-policy", _POLICY)])
