"""Rate limits of a tenant and of each of its callers, counted over all workers of a host.

To count together costs a file lock. While there is plenty left, a worker takes many requests at once and
gives them out without asking again; near the limit it takes one at a time. So no more pass than the limit
says, and with several workers a window may end a few in a hundred short, by what was taken and not used.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from fractions import Fraction

from limits import RateLimitItem, RateLimitItemPerSecond
from limits.storage import Storage
from limits.strategies import FixedWindowRateLimiter

from recsys.contracts.problems import TOO_MANY_REQUESTS, ProblemCode
from recsys.control.principals import Principal
from recsys.service.problems import ProblemError
from recsys.service.tenants import ServedTenant

MAX_WINDOW_S = 3600
TAKEN_AT_ONCE = 0.01
"""Of what is left, as long as that is a request or more."""
_MAX_TAKEN = 4096


class _Taken:
    """Requests of one window that this worker may still let through."""

    __slots__ = ("left", "until")

    def __init__(self, left: int, until: float) -> None:
        self.left = left
        self.until = until


class RateLimits:
    """Counts requests in fixed windows, as short as the rate allows: 1 s for 50 a second, 2 s for 0.5."""

    def __init__(self, storage: Storage, *, clock: Callable[[], float] = time.time) -> None:
        """``storage`` holds the counts; ``clock`` gives Unix seconds, as that of the storage does."""
        self._limiter = FixedWindowRateLimiter(storage)
        self._clock = clock
        self._windows: dict[float, RateLimitItem] = {}
        self._taken: dict[tuple[float, str, str], _Taken] = {}

    def count(self, tenant: ServedTenant, principal: Principal) -> None:
        """Count a request; raises 429 with ``Retry-After`` when it is one too many."""
        limits = tenant.config.limits
        if limits.principal_requests_per_s is not None:
            self._hit(limits.principal_requests_per_s, tenant.name, principal.subject)
        if limits.tenant_requests_per_s is not None:
            self._hit(limits.tenant_requests_per_s, tenant.name, "")

    def _hit(self, rate: float, tenant: str, subject: str) -> None:
        key = (rate, tenant, subject)
        taken = self._taken.get(key)
        if taken is not None and taken.left and self._clock() < taken.until:
            taken.left -= 1
            return
        window = self._windows.get(rate)
        if window is None:
            window = self._windows[rate] = window_of(rate)
        if self._take(key, window):
            return
        wait_s = self._limiter.get_window_stats(window, tenant, subject).reset_time - self._clock()
        raise ProblemError(
            ProblemCode.OVERLOADED,
            f"more than {rate:g} requests a second of {'this caller' if subject else 'this tenant'}",
            status=TOO_MANY_REQUESTS,
            headers=[("retry-after", str(max(1, math.ceil(wait_s))))],
        )

    def _take(self, key: tuple[float, str, str], window: RateLimitItem) -> bool:
        """Take one request of the window, or many if there are; say whether there was one."""
        _, tenant, subject = key
        stats = self._limiter.get_window_stats(window, tenant, subject)
        n_taken = max(1, int(stats.remaining * TAKEN_AT_ONCE))
        if not self._limiter.hit(window, tenant, subject, cost=n_taken):
            return False
        if n_taken > 1:
            if len(self._taken) >= _MAX_TAKEN:
                self._taken.clear()
            until = self._limiter.get_window_stats(window, tenant, subject).reset_time
            self._taken[key] = _Taken(n_taken - 1, until)
        return True


def window_of(rate: float) -> RateLimitItem:
    """Return the shortest window of whole seconds that lets a whole number of requests through at ``rate``.

    A rate that would need more than ``MAX_WINDOW_S`` is rounded, to one request in that time at least.
    """
    fraction = Fraction(rate).limit_denominator(MAX_WINDOW_S)
    if not fraction:
        return RateLimitItemPerSecond(1, MAX_WINDOW_S)
    return RateLimitItemPerSecond(fraction.numerator, fraction.denominator)
