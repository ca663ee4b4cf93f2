"""Which handler answers which method and path."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct

from recsys.contracts.problems import ProblemCode
from recsys.service.operations import Operation
from recsys.service.problems import ProblemError
from recsys.service.transport import Request, Response

Handler = Callable[[Request], Response]


class Route(Struct, frozen=True):
    """An operation with what answers it."""

    operation: Operation
    handler: Handler


class Found(Struct, frozen=True):
    """A route with the parameters of the path that it was found for."""

    route: Route
    parameters: dict[str, str]


class Router:
    """A table of exact paths, and a list of those with parameters by their number of segments."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = tuple(routes)
        self._exact: dict[str, dict[str, Found]] = {}
        self._patterns: dict[int, dict[tuple[str, ...], dict[str, Route]]] = {}
        for route in routes:
            path, method = route.operation.path, route.operation.method
            if "{" in path:
                pattern = tuple(path.split("/"))
                self._patterns.setdefault(len(pattern), {}).setdefault(pattern, {})[method] = route
            else:
                self._exact.setdefault(path, {})[method] = Found(route, {})

    def find(self, method: str, path: str) -> Found:
        """Return the route, that of GET for HEAD.

        Raises 404 for an unknown path and 405, with ``Allow``, for another method.
        """
        methods = self._exact.get(path) or self._match(path)
        if not methods:
            raise ProblemError(ProblemCode.NOT_FOUND, f"no route {path!r}; see /docs")
        found = methods.get("GET" if method == "HEAD" else method)
        if found is None:
            allowed = ", ".join(sorted({*methods, "HEAD"} if "GET" in methods else methods))
            raise ProblemError(
                ProblemCode.METHOD_NOT_ALLOWED,
                f"{path} takes {allowed}, not {method}",
                headers=[("allow", allowed)],
            )
        return found

    def _match(self, path: str) -> dict[str, Found]:
        segments = path.split("/")
        for pattern, methods in self._patterns.get(len(segments), {}).items():
            parameters: dict[str, str] = {}
            for expected, segment in zip(pattern, segments, strict=True):
                if expected.startswith("{"):
                    parameters[expected[1:-1]] = segment
                elif expected != segment:
                    break
            else:
                return {method: Found(route, parameters) for method, route in methods.items()}
        return {}
