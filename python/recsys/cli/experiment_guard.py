"""``recsys experiment guard``: watch guardrails, and roll back an experiment that breaks one."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from recsys.cli.console import OK, JsonFlag, print_json
from recsys.cli.releases import IN_DATA_FOLDER, RegistryOptions
from recsys.cli.store_options import Tenant, actor, control_plane
from recsys.contracts.decisions import EXIT_CODES
from recsys.contracts.errors import RecsysError

if TYPE_CHECKING:
    from recsys.contracts.experiments import Experiment
    from recsys.control.plane import ControlPlane
    from recsys.evaluation.live_guardrails import Breach


def guard(
    experiment: Annotated[str, Parameter(help="The experiment.")],
    /,
    *,
    tenant: Tenant,
    every: Annotated[float, Parameter(help="Seconds between looks.")] = 1.0,
    limit: Annotated[
        float | None, Parameter(name="--for", help="Seconds to watch; else while it runs.")
    ] = None,
    if_running: Annotated[
        bool, Parameter(negative="", help="Exit with 0 at once when it is not running, as for a timer.")
    ] = False,
    at: RegistryOptions = IN_DATA_FOLDER,
    json: JsonFlag = False,
) -> int:
    """Watch the guardrails of a running experiment on this host's exposure log.

    A broken one rolls the experiment back, and the exit code is 3. Looking often costs no certainty.
    """
    from recsys.control.experiments import roll_back_experiment
    from recsys.evaluation.live_guardrails import GuardrailWatch
    from recsys.eventlog.tail import LogTail

    until = None if limit is None else time.monotonic() + limit
    with control_plane(at.where) as plane:
        watched = _running(plane, tenant, experiment)
        if watched is None and if_running:
            print_json({"rolled_back": False, "requests": {}}) if json else print("not running")
            return OK
        if watched is None:
            raise RecsysError(f"experiment {experiment!r} is not running")
        watch, tail = (
            GuardrailWatch(watched),
            LogTail(at.where.data_dir / "logs" / "exposures", watched.started_at),
        )
        while True:
            for line in tail.read():
                watch.add(line)
            breaches = watch.look()
            if breaches:
                why = "; ".join(_tell(breach) for breach in breaches)
                roll_back_experiment(
                    plane,
                    tenant,
                    experiment,
                    registry=at.open(),
                    now=datetime.now(UTC),
                    author=actor(),
                    comment=why,
                )
                print_json({"rolled_back": True, "breaches": breaches}) if json else print(
                    f"rolled back: {why}"
                )
                return EXIT_CODES["fail"]
            if _running(plane, tenant, experiment) is None or (
                until is not None and time.monotonic() >= until
            ):
                counts = watch.requests
                told = ", ".join(f"{count} requests of {arm}" for arm, count in counts.items())
                print_json({"rolled_back": False, "requests": counts}) if json else print(
                    f"no breach: {told or 'no requests'}"
                )
                return OK
            time.sleep(every)


def _running(plane: ControlPlane, tenant: str, experiment_id: str) -> Experiment | None:
    from recsys.control.experiments import current_experiments, find_experiment

    document, _ = current_experiments(plane, tenant)
    found = find_experiment(document, experiment_id)
    return found if found.state == "running" else None


def _tell(breach: Breach) -> str:
    return (
        f"{breach.metric} of {breach.arm} is up by {breach.increase:.3g}, at least {breach.lower_bound:.3g}"
        f" (margin {breach.margin:g}, {breach.requests} requests)"
    )
