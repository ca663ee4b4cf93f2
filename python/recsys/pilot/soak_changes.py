"""What goes on beside the load of a soak: releases and rules change, logs rotate and are compacted."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path

import msgspec
import pyarrow.parquet as pq
from msgspec import Struct

from recsys.control.plane import ControlPlane
from recsys.eventlog.layout import compacted_files, live_parts
from recsys.eventlog.parts import ask_to_rotate
from recsys.pilot.commands import run_command
from recsys.pilot.drills.scratch import ITEMS, TENANT, Scratch

RELEASE_S = 4.0
RULES_S = 4.0
ROTATE_S = 10.0
COMPACT_S = 30.0


class Changes(Struct, kw_only=True):
    """How often each thing was done."""

    releases: int = 0
    rules: int = 0
    rotations: int = 0
    compactions: int = 0


@contextmanager
def changing(scratch: Scratch) -> Iterator[Callable[[], Changes]]:
    """Make changes while the block runs; yields what counts them. What one raises is raised at the end."""
    stop = threading.Event()
    done = Changes()
    plane = ControlPlane.open(scratch.data_dir / "control")
    generations, blocked = cycle(range(1, 8)), cycle(ITEMS[50:150])

    def release() -> None:
        scratch.publish(generation=next(generations))
        done.releases += 1

    def put_rules() -> None:
        rule = {"rule_id": "one", "action": "BLOCK", "target_type": "ITEM", "target_key": next(blocked)}
        plane.put(TENANT, "rules", msgspec.json.encode([rule]), author="soak")
        done.rules += 1

    def rotate() -> None:
        ask_to_rotate(_log(scratch.data_dir))
        done.rotations += 1

    def compact() -> None:
        run_command("logs", "compact", "--data-dir", str(scratch.data_dir))
        done.compactions += 1

    def repeat(action: Callable[[], None], every_s: float) -> None:
        while not stop.wait(every_s):
            action()

    actions = {release: RELEASE_S, put_rules: RULES_S, rotate: ROTATE_S, compact: COMPACT_S}
    try:
        with ThreadPoolExecutor(len(actions)) as pool:
            running = [pool.submit(repeat, action, every_s) for action, every_s in actions.items()]
            try:
                yield lambda: msgspec.structs.replace(done)
            finally:
                stop.set()
        for one in running:
            one.result()
    finally:
        plane.close()


def count_exposures(data_dir: Path) -> int:
    """Return how many exposures the log has, in parts and in compacted files."""
    log = _log(data_dir)
    lines = 0
    for _, part in live_parts(log):
        with part.open("rb") as file:
            lines += sum(1 for _ in file)
    return lines + sum(pq.read_metadata(path).num_rows for _, path in compacted_files(log))


def _log(data_dir: Path) -> Path:
    return data_dir / "logs" / "exposures"
