"""Rate limits of a tenant and of each of its callers, counted over all workers of a host."""

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


class RateLimits:
    """Counts requests in fixed windows, as short as the rate allows: 1 s for 50 a second, 2 s for 0.5."""

    def __init__(self, storage: Storage, *, clock: Callable[[], float] = time.time) -> None:
        """``storage`` holds the counts; ``clock`` gives Unix seconds, as that of the storage does."""
        self._limiter = FixedWindowRateLimiter(storage)
        self._clock = clock
        self._windows: dict[float, RateLimitItem] = {}

    def count(self, tenant: ServedTenant, principal: Principal) -> None:
        """Count a request; raises 429 with ``Retry-After`` when it is one too many."""
        limits = tenant.config.limits
        if limits.principal_requests_per_s is not None:
            self._hit(limits.principal_requests_per_s, tenant.name, principal.subject)
        if limits.tenant_requests_per_s is not None:
            self._hit(limits.tenant_requests_per_s, tenant.name, "")

    def _hit(self, rate: float, tenant: str, subject: str) -> None:
        window = self._windows.get(rate)
        if window is None:
            window = self._windows[rate] = window_of(rate)
        if self._limiter.hit(window, tenant, subject):
            return
        wait_s = self._limiter.get_window_stats(window, tenant, subject).reset_time - self._clock()
        raise ProblemError(
            ProblemCode.OVERLOADED,
            f"more than {rate:g} requests a second of {'this caller' if subject else 'this tenant'}",
            status=TOO_MANY_REQUESTS,
            headers=[("retry-after", str(max(1, math.ceil(wait_s))))],
        )


def window_of(rate: float) -> RateLimitItem:
    """Return the shortest window of whole seconds that lets a whole number of requests through at ``rate``.

    A rate that would need more than ``MAX_WINDOW_S`` is rounded, to one request in that time at least.
    """
    fraction = Fraction(rate).limit_denominator(MAX_WINDOW_S)
    if not fraction:
        return RateLimitItemPerSecond(1, MAX_WINDOW_S)
    return RateLimitItemPerSecond(fraction.numerator, fraction.denominator)
