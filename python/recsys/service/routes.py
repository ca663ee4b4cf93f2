"""Which handler answers which method and path."""

from __future__ import annotations

from collections.abc import Callable

from recsys.contracts.problems import ProblemCode
from recsys.service.problems import ProblemError
from recsys.service.transport import Request, Response

Handler = Callable[[Request], Response]


class Router:
    """An exact table of paths; there are no parameters in them."""

    def __init__(self, routes: dict[str, dict[str, Handler]]) -> None:
        """``routes`` maps path and method to handler."""
        self._routes = routes

    def find(self, method: str, path: str) -> Handler:
        """Return the handler, that of GET for HEAD.

        Raises 404 for an unknown path and 405, with ``Allow``, for another method.
        """
        methods = self._routes.get(path)
        if methods is None:
            raise ProblemError(ProblemCode.NOT_FOUND, f"no route {path!r}; see /docs")
        handler = methods.get("GET" if method == "HEAD" else method)
        if handler is None:
            allowed = ", ".join(sorted({*methods, "HEAD"} if "GET" in methods else methods))
            raise ProblemError(
                ProblemCode.METHOD_NOT_ALLOWED,
                f"{path} takes {allowed}, not {method}",
                headers=[("allow", allowed)],
            )
        return handler
