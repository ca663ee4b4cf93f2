"""The exposure of a request: one line of the log, put together from parts that are encoded already."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import msgspec

from recsys.contracts.http import Context
from recsys.service.composed_lists import ServedList
from recsys.service.queries import Query

_ENCODER = msgspec.json.Encoder()


class ExposureLines:
    """Encodes the exposures of one worker, each as msgspec would encode its :class:`Exposure`."""

    def __init__(self) -> None:
        self._second = -1
        self._date_and_time = b""

    def encode(self, request_id: str, started: float, query: Query, served: ServedList | None) -> bytes:
        """Return the line, newline and all; without ``served``, that of an error, which served nothing."""
        encode = _ENCODER.encode
        latency_ms = round((time.perf_counter() - started) * 1000, 3)
        before = b'{"request_id":%b,"user_id":"%b","ts":"%b","items":' % (
            encode(request_id),
            query.user.encode(),
            self.stamp(time.time_ns() // 1000),
        )
        after = b',"context":{%b},"latency_ms":%b,"error":%b}\n' % (
            _context_members(query),
            encode(latency_ms),
            b"true" if served is None else b"false",
        )
        return (
            before + b"[]" + after
            if served is None
            else served.encode_exposed(before, after, first_rank=query.first_rank)
        )

    def stamp(self, now_us: int) -> bytes:
        """Return a Unix time in microseconds as RFC 3339 in UTC; a fraction of zero is left out."""
        second, micros = divmod(now_us, 1_000_000)
        if second != self._second:
            self._date_and_time = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S").encode()
            self._second = second
        return b"%b.%06dZ" % (self._date_and_time, micros) if micros else self._date_and_time + b"Z"


def _context_members(query: Query) -> bytes:
    """Return the members of ``context``: what ranked the list, its arm, what the caller said."""
    provenance = query.snapshot.provenance
    members = [provenance.members(query.segment) + provenance.fresh_member]
    if query.treatment.context_members:
        members.append(query.treatment.context_members)
    told = _told_by_caller(query.request.context)
    if told:
        members.append(_ENCODER.encode(told)[1:-1])
    return b",".join(members)


def _told_by_caller(context: Context) -> dict[str, str]:
    told: dict[str, str] = {}
    if context.locale is not None:
        told["locale"] = context.locale
    if context.device is not None:
        told["device"] = context.device
    if context.country is not None:
        told["country"] = context.country
    if context.now is not None:
        told["now"] = context.now.isoformat()
    return told
