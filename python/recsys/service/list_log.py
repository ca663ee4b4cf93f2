"""What is logged of a list, and as what kind of list it is counted."""

from __future__ import annotations

from datetime import datetime

from recsys.observability.metrics import ListKind, Metrics
from recsys.ranking.snapshot import Snapshot
from recsys.service.arms import Treatment
from recsys.service.assignments import encode_assignment
from recsys.service.state import State


class ListLog:
    """Writes the exposure of each list, after the assignment that it came by."""

    def __init__(self, state: State, metrics: Metrics) -> None:
        self._state = state
        self._metrics = metrics

    def write(
        self,
        request_id: str,
        user: str,
        treatment: Treatment,
        snapshot: Snapshot,
        line: bytes,
        now: datetime,
    ) -> None:
        """Write the line of an exposure; what cannot be written is counted. ``now`` is that of the host."""
        is_whole = True
        if treatment.told is not None and treatment.is_logged:
            assignment = encode_assignment(treatment, request_id, user, now)
            is_whole = self._state.assignments.append_line(assignment)
        is_whole &= self._state.exposures.append_line(line)
        if not is_whole:
            self._metrics.exposure_failures.labels(snapshot.tenant).inc()


def kind_of(length: int, k: int, *, is_refilled: bool) -> ListKind:
    """Return the kind of a list of ``length`` items where ``k`` were asked for."""
    if not length:
        return "empty"
    if length < k:
        return "short"
    return "fallback" if is_refilled else "full"
