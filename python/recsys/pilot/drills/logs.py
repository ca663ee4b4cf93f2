"""Drills on the logs: a disk that is full, outcomes that do not join."""

from __future__ import annotations

import resource
from collections.abc import Sequence
from pathlib import Path

import msgspec
import psutil

from recsys.eventlog.layout import live_parts
from recsys.pilot.drills.scratch import TENANT
from recsys.pilot.drills.stage import DrillError, Stage, list_of
from recsys.pilot.drills.visitors import visit
from recsys.pilot.service_process import ServiceProcess

N_LISTS = 20


def exposure_disk_full(stage: Stage) -> None:
    """Let no log part grow; lists go on, the failures are counted, and the service is not ready."""
    stage.scratch.publish()
    service = stage.serve()
    list_of(service)
    written = max(path.stat().st_size for _, path in live_parts(stage.data_dir / "logs" / "exposures"))
    stage.inject("no file may grow, as on a full disk", lambda: _limit_files(service, written))
    stage.detect(
        "recsys_exposure_write_failures_total grows, /readyz is 503", lambda: _loses_exposures(service)
    )
    if len(list_of(service)) != 10:
        raise DrillError("lists were not served while the log could not be written")
    stage.recover(
        lambda: _limit_files(service, resource.RLIM_INFINITY),
        lambda: service.get("/readyz").status == 200,
        "make room on the disk: recsys logs ship, recsys logs retain",
    )


def broken_joins(stage: Stage) -> None:
    """Send outcomes without the request's id; validation holds until the client is mended."""
    stage.scratch.publish()
    service = stage.serve()
    stage.inject("clicks carry another request_id", lambda: _click(service, "broken", is_broken=True))
    stage.detect("recsys eval validate exits 2 (hold)", lambda: _verdict(stage, ()) == "hold")
    before = _parts(stage)

    def mend() -> None:
        service.stop()
        _click(stage.serve(), "mended", is_broken=False)

    stage.recover(
        mend,
        lambda: _verdict(stage, before) == "sane",
        "mend the client: outcomes take the request_id of their list; validate what came since",
    )


def _limit_files(service: ServiceProcess, size: int) -> None:
    for worker in service.workers():
        _, hard = worker.rlimit(psutil.RLIMIT_FSIZE)
        worker.rlimit(psutil.RLIMIT_FSIZE, (size, hard))


def _loses_exposures(service: ServiceProcess) -> bool:
    list_of(service)
    lost = service.metric("recsys_exposure_write_failures_total", tenant=TENANT)
    return lost > 0 and service.get("/readyz").status == 503


def _click(service: ServiceProcess, name: str, *, is_broken: bool) -> None:
    """Ask for lists, and click on the first item of each."""
    users = [f"{name}-{number}" for number in range(N_LISTS)]
    if is_broken:
        visit(service, users, clicked_request=lambda user, _: f"other-{user}")
    else:
        visit(service, users)


def _verdict(stage: Stage, left_out: Sequence[Path]) -> str:
    """Return the verdict on the logs but for some parts."""
    arguments = ["eval", "validate", "--json"]
    for kind in ("exposures", "outcomes"):
        chosen = [str(path) for path in _parts(stage, kind) if path not in left_out]
        arguments += [f"--{kind}", *chosen]
    printed = stage.command(*arguments, codes=(0, 1, 2))
    return msgspec.json.decode(printed, type=_Verdict).verdict


def _parts(stage: Stage, *kinds: str) -> list[Path]:
    logs = stage.data_dir / "logs"
    return [path for kind in kinds or ("exposures", "outcomes") for _, path in live_parts(logs / kind)]


class _Verdict(msgspec.Struct):
    verdict: str
