"""Errors that become problem bodies."""

from __future__ import annotations

from recsys.contracts.errors import RecsysError
from recsys.contracts.problems import ProblemCode

PROBLEM_TYPE = "application/problem+json"


class ProblemError(RecsysError):
    """Ends a request with the problem of ``code``; ``headers`` go with it (``Retry-After``, ``Allow``)."""

    def __init__(
        self,
        code: ProblemCode,
        detail: str,
        *,
        status: int | None = None,
        headers: list[tuple[str, str]] | None = None,
    ) -> None:
        """``status`` is that of the code unless given."""
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.status = status
        self.headers = headers
