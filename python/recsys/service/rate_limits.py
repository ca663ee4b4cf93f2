"""Rate limits of a tenant and of each of its callers, counted over all workers of a host.

To count together costs a file lock. While there is plenty left, a worker takes many requests at once and
gives them out without asking again; near the limit it takes what it needs. So no more pass than the limit
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
        self._count(tenant, principal, 1, 1)

    def count_lists(self, tenant: ServedTenant, principal: Principal, n_lists: int) -> None:
        """Count the lists of a batch but one, which was counted; raises 429 when they are too many."""
        if n_lists > 1:
            self._count(tenant, principal, n_lists - 1, n_lists)

    def _count(self, tenant: ServedTenant, principal: Principal, cost: int, n_lists: int) -> None:
        limits = tenant.config.limits
        if limits.principal_requests_per_s is not None:
            self._hit(limits.principal_requests_per_s, tenant.name, principal.subject, cost, n_lists)
        if limits.tenant_requests_per_s is not None:
            self._hit(limits.tenant_requests_per_s, tenant.name, "", cost, n_lists)

    def _hit(self, rate: float, tenant: str, subject: str, cost: int, n_lists: int) -> None:
        key = (rate, tenant, subject)
        taken = self._taken.get(key)
        left = taken.left if taken is not None and self._clock() < taken.until else 0
        if taken is not None and left >= cost:
            taken.left -= cost
            return
        window = self._windows.get(rate)
        if window is None:
            window = self._windows[rate] = window_of(rate)
        if self._take(key, window, cost, left):
            return
        wait_s = self._limiter.get_window_stats(window, tenant, subject).reset_time - self._clock()
        whose = "this caller" if subject else "this tenant"
        detail = f"more than {rate:g} requests a second of {whose}"
        if n_lists > 1:
            detail = f"{n_lists} lists count as {n_lists} requests: {detail}"
        if n_lists > window.amount:
            detail += f"; no batch of more than {window.amount} passes"
        raise ProblemError(
            ProblemCode.OVERLOADED,
            detail,
            status=TOO_MANY_REQUESTS,
            headers=[("retry-after", str(max(1, math.ceil(wait_s))))],
        )

    def _take(self, key: tuple[float, str, str], window: RateLimitItem, cost: int, left: int) -> bool:
        """Take ``cost`` requests of the window, or more if there are many; say whether there were so many.

        ``left`` of them were taken before.
        """
        _, tenant, subject = key
        stats = self._limiter.get_window_stats(window, tenant, subject)
        needed = cost - left
        if stats.remaining < needed:
            return False
        n_taken = max(needed, int(stats.remaining * TAKEN_AT_ONCE))
        if not self._limiter.hit(window, tenant, subject, cost=n_taken):
            return False
        if left or n_taken > needed:
            if len(self._taken) >= _MAX_TAKEN:
                self._taken.clear()
            until = self._limiter.get_window_stats(window, tenant, subject).reset_time
            self._taken[key] = _Taken(n_taken - needed, until)
        return True


def window_of(rate: float) -> RateLimitItem:
    """Return the shortest window of whole seconds that lets a whole number of requests through at ``rate``.

    A rate that would need more than ``MAX_WINDOW_S`` is rounded, to one request in that time at least.
    """
    fraction = Fraction(rate).limit_denominator(MAX_WINDOW_S)
    if not fraction:
        return RateLimitItemPerSecond(1, MAX_WINDOW_S)
    return RateLimitItemPerSecond(fraction.numerator, fraction.denominator)
