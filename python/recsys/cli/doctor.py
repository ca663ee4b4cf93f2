"""``recsys doctor``: what is wrong with a running or a dead service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import cyclopts
from cyclopts import Parameter

from recsys.cli.console import FAILED, OK, JsonFlag, print_json, print_table, visible
from recsys.cli.releases import IN_DATA_FOLDER, RegistryOptions
from recsys.cli.store_options import control_plane

if TYPE_CHECKING:
    from recsys.pilot.doctor import Sight

app = cyclopts.App(name="doctor")


@app.default
def doctor(
    *,
    url: Annotated[str, Parameter(help="Where the service should answer.")] = "http://127.0.0.1:8000",
    given: RegistryOptions = IN_DATA_FOLDER,
    every: Annotated[bool, Parameter(name="--all", negative="", help="Show what is well too.")] = False,
    json: JsonFlag = False,
) -> int:
    """Look at the service, its store, its releases and its disk; exits 1 when something is wrong."""
    from recsys.control.store import ControlError
    from recsys.pilot.asking import check_url
    from recsys.pilot.doctor import Sight, examine_agreement, examine_data, examine_service

    sights = examine_service(check_url(url))
    try:
        with control_plane(given.where) as plane:
            sights += examine_data(plane, given.open(), given.where.data_dir)
            sights += examine_agreement(check_url(url), plane, given.open())
    except ControlError as error:
        sights.append(Sight("store", False, str(error), "not-ready", "recsys restore BACKUP, if it is lost"))
    is_well = all(sight.is_well for sight in sights)
    if json:
        print_json(sights)
        return OK if is_well else FAILED
    shown = [sight for sight in sights if every or not sight.is_well]
    if shown:
        _print_sights(shown)
    if not every:
        print(*(visible(f"{one.what}: {one.evidence}") for one in sights if one.what == "changes"), sep="\n")
    if is_well:
        print(f"nothing is wrong: {len(sights)} things were looked at")
    return OK if is_well else FAILED


def _print_sights(shown: list[Sight]) -> None:
    print_table(
        ["", "what", "evidence", "runbook", "next"],
        [
            (
                "ok" if one.is_well else "TROUBLE",
                one.what,
                one.evidence,
                f"docs/runbooks/{one.runbook}.md" if one.runbook else "",
                one.next,
            )
            for one in shown
        ],
    )
