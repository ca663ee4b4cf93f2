"""Replay: requests ranked again by a snapshot, written as ``ranklist.v1``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from recsys.contracts.records import RankList
from recsys.replay.requests import ReplayRequest
from recsys.replay.systems import ReplaySystem


def write_lists(requests: Iterable[ReplayRequest], system: ReplaySystem, k: int, path: Path) -> int:
    """Write the list of ``k`` items for each request to ``path`` and return how many there are.

    A request is ranked as at its time, for its segment, with its anchors. Its user is known by pseudonym
    only, so a signal keyed by user does not find it.
    """
    encoder = msgspec.json.Encoder()
    count = 0
    with path.open("wb") as file:
        for request in requests:
            plan = system.snapshot.plan(request.segment, request.ts, system.mode).plan
            ranked = plan.rank(k, int(request.ts.timestamp() * 1000), anchors=request.anchors)
            listed = RankList(request.request_id, request.user_id, request.ts, ranked.item_ids)
            file.write(encoder.encode(listed) + b"\n")
            count += 1
    return count
