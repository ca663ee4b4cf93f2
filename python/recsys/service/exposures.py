"""The exposure of a request: one line of the log, put together from parts that are encoded already."""

from __future__ import annotations

import time

import msgspec

from recsys._native import frame_exposure
from recsys.contracts.http import Context
from recsys.service.composed_lists import ServedList
from recsys.service.queries import Query

_ENCODER = msgspec.json.Encoder()
_NO_CONTEXT = Context()


def encode_exposure(request_id: str, started: float, query: Query, served: ServedList | None) -> bytes:
    """Return the line, newline and all, as msgspec encodes the :class:`Exposure`.

    ``started`` is a reading of ``time.perf_counter``. Without ``served`` it is the line of an error, which
    served nothing.
    """
    latency_ms = round((time.perf_counter() - started) * 1000, 3)
    before, after = frame_exposure(
        request_id, query.user, time.time_ns() // 1000, _context_members(query), latency_ms, served is None
    )
    if served is None:
        return before + b"[]" + after
    return served.encode_exposed(before, after, first_rank=query.first_rank)


def _context_members(query: Query) -> bytes:
    """Return the members of ``context``: what ranked the list, its arm, what the caller said."""
    provenance = query.snapshot.provenance
    members = provenance.members(query.segment) + provenance.added_members
    if query.treatment.context_members:
        members += b"," + query.treatment.context_members
    if query.request.context != _NO_CONTEXT:
        members += b"," + _ENCODER.encode(told_by_caller(query.request.context))[1:-1]
    return members


def told_by_caller(context: Context) -> dict[str, str]:
    """Return what a caller said of a request, as the context of its exposure has it."""
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
