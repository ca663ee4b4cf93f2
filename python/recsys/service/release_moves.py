"""Enters moves of release pointers that were stopped before their audit entry, beside the workers."""

from __future__ import annotations

from datetime import timedelta
from multiprocessing.synchronize import Event

import structlog

from recsys.artifacts.registry import open_registry
from recsys.contracts.errors import RecsysError
from recsys.control.plane import ControlPlane
from recsys.control.release_moves import pending_moves, settle_moves
from recsys.service.loading import Sources

INTERVAL_S = 10.0
STOPPED_AFTER = timedelta(minutes=1)
"""Whoever takes longer from the move to the entry was stopped; others enter theirs by themselves."""


def follow_moves(plane: ControlPlane, sources: Sources, stopping: Event) -> None:
    """Look at the store, at once and then now and again, until ``stopping``."""
    log = structlog.get_logger()
    last_error = ""
    while True:
        try:
            enter_stopped_moves(plane, sources)
            last_error = ""
        except RecsysError as error:
            if str(error) != last_error:
                log.error("moves of releases cannot be entered", error=str(error))  # noqa: TRY400  told in a line
            last_error = str(error)
        except Exception:
            log.exception("moves of releases cannot be entered")
        if stopping.wait(INTERVAL_S):
            return


def enter_stopped_moves(plane: ControlPlane, sources: Sources) -> None:
    """Enter what was begun some time ago and has led to a current release."""
    due = {
        (move.tenant, move.surface)
        for move in pending_moves(plane)
        if plane.now() - move.begun_at >= STOPPED_AFTER
    }
    for tenant, surface in sorted(due):
        entry = settle_moves(plane, open_registry(sources.registry_url), tenant, surface)
        if entry is not None:
            structlog.get_logger().warning(
                "a move of a release was entered late", tenant=tenant, surface=surface, action=entry.action
            )
