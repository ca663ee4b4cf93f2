"""``recsys pilot``: where a pilot stands, whether it is ready, whether a candidate may ship."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import cyclopts
from cyclopts import Parameter
from cyclopts.validators import Number

from recsys.cli.console import FAILED, OK, JsonFlag, print_json, print_table, print_warning, stdout
from recsys.cli.releases import IN_DATA_FOLDER, RegistryOptions
from recsys.cli.store_options import control_plane

if TYPE_CHECKING:
    from recsys.pilot.requirements import Board, Group

app = cyclopts.App(name="pilot", help="Where the pilot stands, with the evidence for it.")

Out = Annotated[Path | None, Parameter(help="Also write the board here, as an HTML file.")]


@Parameter(name="*")
@dataclass(frozen=True)
class PilotOptions:
    """Whose pilot, and where its evidence is."""

    tenant: Annotated[str, Parameter(help="The tenant.")] = "demo"
    surface: Annotated[str, Parameter(help="The surface.")] = "home"
    evidence: Annotated[
        tuple[Path, ...],
        Parameter(
            negative="",
            help="Folders with reports, decisions, validations, drills, backups, alerts (default: evidence/ "
            "and backups/ in the data folder).",
        ),
    ] = ()
    url: Annotated[str | None, Parameter(help="A running service, to be asked too.")] = None
    prometheus: Annotated[str | None, Parameter(help="A Prometheus, to be asked for its alerts.")] = None
    registry: RegistryOptions = IN_DATA_FOLDER


OPTIONS = PilotOptions()


@app.command
def run(
    *,
    out: Annotated[Path, Parameter(help="A new folder for data, evidence and index.html.")] = Path("pilot"),
    baskets: Annotated[int, Parameter(validator=Number(gte=50, lte=100_000))] = 1500,
    json: JsonFlag = False,
) -> int:
    """Go through a whole pilot on the retail data, from the first row to the last rollback.

    Parameters
    ----------
    baskets
        How many baskets are replayed in each part.
    """
    from recsys.pilot.run import run_pilot

    journal = run_pilot(out, scale=baskets, tell=(lambda _: None) if json else print)
    if json:
        print_json({"passed": journal.passed, "steps": journal.steps})
    else:
        print(f"{'passed' if journal.passed else 'NOT PASSED'}: {out / 'index.html'}")
    return OK if journal.passed else FAILED


@app.command
def capacity(
    *,
    url: Annotated[str, Parameter(help="Where the service answers.")] = "http://127.0.0.1:8000",
    tenant: str = "demo",
    surface: str = "home",
    seconds: float = 10.0,
    connections: Annotated[int, Parameter(validator=Number(gte=1, lte=256))] = 8,
    api_key: Annotated[str | None, Parameter(env_var="RECSYS_API_KEY", show_env_var=True)] = None,
    out: Annotated[Path | None, Parameter(help="A file that readiness reads.")] = None,
    json: JsonFlag = False,
) -> None:
    """Measure how many requests a second a service answers; the load comes from this machine."""
    import msgspec

    from recsys.pilot.capacity import measure

    found = measure(url, tenant, surface, seconds=seconds, connections=connections, api_key=api_key)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_bytes(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
    if json:
        print_json(found)
    else:
        print(
            f"{found.requests_per_s:,.0f} requests a second, p95 {found.p95_ms:g} ms, {found.failed} failed"
        )


@app.command
def alerts(
    *,
    prometheus: Annotated[str, Parameter(help="Where it answers.")] = "http://127.0.0.1:9090",
    out: Annotated[Path | None, Parameter(help="A file that readiness reads.")] = None,
    json: JsonFlag = False,
) -> int:
    """Ask a Prometheus for its alerts and who takes what they fire; exits 1 if one is missing."""
    import msgspec

    from recsys.pilot.alerting import ask_prometheus

    found = ask_prometheus(prometheus)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_bytes(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
    missing = found.missing()
    if json:
        print_json(found)
    else:
        print(f"alerts missing: {', '.join(missing) or 'none'}")
        print(f"alertmanagers: {', '.join(found.alertmanagers) or 'none'}")
        print(f"receivers: {', '.join(found.receivers) or 'none'}")
    return FAILED if missing or not found.receivers else OK


@app.command
def soak(
    *,
    minutes: Annotated[float, Parameter(help="How long the load lasts.")] = 60.0,
    workers: Annotated[int, Parameter(validator=Number(gte=1, lte=256))] = 2,
    out: Annotated[Path | None, Parameter(help="A file for what was measured.")] = None,
    json: JsonFlag = False,
) -> int:
    """Load a scratch service at half of its capacity; exits 1 unless it stays well.

    Meanwhile releases and rules change, and logs rotate and are compacted. No request may fail and no
    exposure may be missing; memory and p99 are compared after a quarter of the time to warm up.
    """
    import msgspec

    from recsys.pilot.soak import run_soak

    found = run_soak(minutes, workers=workers)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_bytes(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
    troubles = found.troubles()
    if json:
        print_json(found)
        return FAILED if troubles else OK
    print_table(
        ("minute", "requests", "failed", "p50 ms", "p99 ms", "memory MB"),
        [
            (
                w.minute,
                w.requests,
                w.failed,
                w.p50_ms,
                w.p99_ms,
                f"{sum(m.resident for m in w.memory) / 1e6:.1f}",
            )
            for w in found.windows
        ],
    )
    print_table(
        ("process", "resident MB", "an hour", "anonymous MB", "an hour", "growth"),
        [
            (
                one.pid,
                one.resident_mb,
                f"{one.resident_mb_per_hour:+g}",
                one.anonymous_mb,
                f"{one.anonymous_mb_per_hour:+g}",
                f"x {one.growth:.3f}",
            )
            for one in found.processes
        ],
    )
    done, p99 = found.changes, ", ".join(f"{one:g} ms" for one in found.p99_thirds_ms)
    print(
        f"{found.requests:,} requests at {found.rate_per_s:,.0f} of {found.capacity_per_s:,.0f} a second, "
        f"{found.failed} failed; {found.exposures:,} exposures, {found.lost} missing\n"
        f"{done.releases} releases, {done.rules} rules, {done.rotations} rotations, "
        f"{done.compactions} compactions\n"
        f"p99 by thirds {p99} (x {found.p99_growth:.2f}); memory x {found.memory_growth:.3f}"
    )
    print("NOT PASSED: " + "; ".join(troubles) if troubles else "passed")
    return FAILED if troubles else OK


@app.command
def status(
    *,
    given: PilotOptions = OPTIONS,
    fast: Annotated[bool, Parameter(negative="", help="The fast path of 2 to 4 weeks.")] = False,
    html: Out = None,
    json: JsonFlag = False,
) -> int:
    """Show the phases with their exit criteria; exits 1 while a must is open."""
    from recsys.pilot.phases import fast_path_groups, phase_groups

    groups = fast_path_groups() if fast else phase_groups()
    return _show("Pilot status", groups, given, html, is_json=json)


@app.command
def readiness(*, given: PilotOptions = OPTIONS, html: Out = None, json: JsonFlag = False) -> int:
    """Show the production checklist; exits 1 while a must is open."""
    from recsys.pilot.readiness import readiness_groups

    return _show("Production readiness", readiness_groups(), given, html, is_json=json)


@app.command
def checklist(*, given: PilotOptions = OPTIONS, html: Out = None, json: JsonFlag = False) -> int:
    """Show the ship checklist; exits 1 while a must is open."""
    from recsys.pilot.ship_checklist import ship_groups

    return _show("Ship checklist", ship_groups(), given, html, is_json=json)


def _show(
    title: str, groups: Sequence[Group], given: PilotOptions, html: Path | None, *, is_json: bool
) -> int:
    from recsys.pilot.alerting import ask_prometheus
    from recsys.pilot.facts import gather_facts, utc_now
    from recsys.pilot.probing import probe_service
    from recsys.pilot.requirements import make_board

    data_dir = given.registry.where.data_dir
    with control_plane(given.registry.where) as plane:
        plane.tenant(given.tenant)  # raises for a tenant that does not exist: nothing here is about it
        facts = gather_facts(
            plane,
            given.registry.open(),
            data_dir=data_dir,
            evidence=given.evidence,
            tenant=given.tenant,
            surface=given.surface,
            now=utc_now(),
            probe=None if given.url is None else probe_service(given.url, given.surface),
            alerting=None if given.prometheus is None else ask_prometheus(given.prometheus),
        )
    board = make_board(title, groups, facts)
    if html is not None:
        from recsys.pilot.board_page import render_board

        html.parent.mkdir(parents=True, exist_ok=True)
        html.write_text(render_board(board), encoding="utf-8")
    print_json(board) if is_json else print_board(board)
    return board.exit_code


def print_board(board: Board) -> None:
    """Print a board, one table a group; what could not be read is a warning."""
    for trouble in board.troubles:
        print_warning(trouble)
    for group in board.groups:
        stdout().print(f"{group.title}: {'done' if group.is_done else 'open'}")
        print_table(
            ["state", "requirement", "evidence", "next"],
            [
                (row.state, row.title if row.is_must else f"{row.title} (optional)", row.evidence, row.next)
                for row in group.rows
            ],
        )
