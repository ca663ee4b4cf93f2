"""What a host does beside answering: threads of the process that starts the workers, on one control store."""

from __future__ import annotations

import threading
from multiprocessing.synchronize import Event

from recsys.control.locations import StoreLocation
from recsys.control.plane import ControlPlane
from recsys.service.fresh_popularity import follow_outcomes
from recsys.service.loading import Sources
from recsys.service.release_moves import follow_moves
from recsys.service.row_releases import follow_rows


def start_background_work(sources: Sources, stopping: Event) -> threading.Thread:
    """Start what goes on beside the workers until ``stopping``; return the thread.

    Releases are made of rows, popularity is kept fresh, and moves of releases that were stopped are entered.
    """
    thread = threading.Thread(target=_work, args=(sources, stopping), name="background", daemon=True)
    thread.start()
    return thread


def _work(sources: Sources, stopping: Event) -> None:
    plane = ControlPlane.open(StoreLocation(sources.data_dir / "control", sources.store))
    work = [
        threading.Thread(target=follow, args=(plane, sources, stopping), name=name, daemon=True)
        for name, follow in (
            ("row-releases", follow_rows),
            ("fresh-popularity", follow_outcomes),
            ("release-moves", follow_moves),
        )
    ]
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()
    plane.close()
