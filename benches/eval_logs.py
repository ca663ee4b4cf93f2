"""Logs for the benchmark of evaluation: the same bytes for the same number."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

N_USERS = 50_000


class Logs(NamedTuple):
    exposures: Path
    outcomes: Path
    ranklist: Path


def write_logs(folder: Path, n_exposures: int) -> Logs:
    """Write exposures of five items in two arms; each tenth has an outcome, and a ranked list beside its
    own.
    """
    users = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(N_USERS)]
    made = Logs(folder / "exposures.jsonl", folder / "outcomes.jsonl", folder / "ranked.jsonl")
    with (
        made.exposures.open("w") as served,
        made.outcomes.open("w") as came,
        made.ranklist.open("w") as ranked,
    ):
        for number in range(n_exposures):
            user = number * 7919 % N_USERS
            ids = (
                f'"request_id":"01a20d34-a472-75c8-a5da-{number:012d}","user_id":"{users[user]}",'
                f'"ts":"2026-01-{1 + number % 28:02d}T10:00:00.{number % 1_000_000:06d}Z"'
            )
            items = [(number * 7 + rank) % 90_000 for rank in range(1, 6)]
            listed = ",".join(f'{{"item_id":"{item}","rank":{rank}}}' for rank, item in enumerate(items, 1))
            served.write(
                f'{{{ids},"items":[{listed}],"context":{{"tenant_id":"demo","surface":"home","experiment_id":"x",'
                f'"experiment_variant":"{"AB"[user % 2]}"}},"latency_ms":{1 + number % 97},"error":false}}\n'
            )
            if number % 10 == 0:
                clicked = items[number // 10 % 5]
                came.write(f'{{{ids},"item_id":"{clicked}","event_type":"click"}}\n')
                turned = ",".join(f'"{item}"' for item in reversed(items))
                ranked.write(f'{{{ids},"items":[{turned}]}}\n')
    return made
