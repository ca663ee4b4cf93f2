"""Admission: how many requests a worker takes on at once. Beyond that it refuses, and quickly."""

from __future__ import annotations

from recsys.contracts.problems import ProblemCode
from recsys.service.problems import ProblemError

DEFAULT_MAX_PENDING = 256
RETRY_AFTER_S = 1


class Admission:
    """Counts the requests between head and response. Lives in one event loop, so it needs no lock."""

    def __init__(self, max_pending: int = DEFAULT_MAX_PENDING) -> None:
        self._max_pending = max_pending
        self.pending = 0
        """Requests begun and not answered."""

    def enter(self) -> None:
        """Take a request on; raises 503 with ``Retry-After`` when too many are pending."""
        if self.pending >= self._max_pending:
            raise ProblemError(
                ProblemCode.OVERLOADED,
                f"{self.pending} requests are pending in this worker",
                headers=[("retry-after", str(RETRY_AFTER_S))],
            )
        self.pending += 1

    def leave(self) -> None:
        """Tell that a request that was taken on has its response."""
        self.pending -= 1
