"""Makes releases of rows that were loaded, in the process that starts the workers and answers no request."""

from __future__ import annotations

from multiprocessing.synchronize import Event

import structlog

from recsys.artifacts.registry import open_registry
from recsys.contracts.errors import RecsysError
from recsys.control.plane import ControlPlane
from recsys.rows.release import find_due, make_releases
from recsys.service.loading import Sources

INTERVAL_S = 1.0
RETRY_INTERVAL_S = 5.0
ACTOR = "service"


def follow_rows(plane: ControlPlane, sources: Sources, stopping: Event) -> None:
    """Follow the store until ``stopping``."""
    log = structlog.get_logger()
    registry = open_registry(sources.registry_url)
    scratch = sources.data_dir / "cache" / "rows"
    known, is_pending, last_error = -1, True, ""
    while not stopping.is_set():
        try:
            generation = plane.wait_for_change(known, INTERVAL_S)
            if generation == known and not is_pending:
                continue
            known = generation
            if find_due(plane):
                for made in make_releases(plane, registry, scratch, actor=ACTOR, only_quiet=True):
                    for left_out in made.left_out:
                        log.warning(
                            "rows left out", tenant=made.tenant, surface=made.surface, reason=left_out
                        )
                    if made.error is not None:
                        log.error(
                            "no release of rows", tenant=made.tenant, surface=made.surface, reason=made.error
                        )
            is_pending, last_error = bool(find_due(plane)), ""
        except (RecsysError, OSError) as error:  # such as a registry that this user may not write to
            if str(error) != last_error:
                log.error("rows cannot be made into releases", error=str(error))  # noqa: TRY400  told in a line
            last_error, is_pending = str(error), True
            stopping.wait(RETRY_INTERVAL_S)
        except Exception:
            log.exception("rows cannot be made into releases")
            is_pending = True
            stopping.wait(RETRY_INTERVAL_S)
