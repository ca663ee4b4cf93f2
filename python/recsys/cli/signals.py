"""``recsys signals``: serve from rows: load them, list them, drop days, make releases of them."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import cyclopts
from cyclopts import Parameter

from recsys.cli.console import (
    FAILED,
    OK,
    JsonFlag,
    print_error,
    print_json,
    print_table,
    print_warning,
    progress,
)
from recsys.cli.releases import IN_DATA_FOLDER, RegistryOptions
from recsys.cli.store_options import WHERE, Tenant, Where, actor, control_plane

if TYPE_CHECKING:
    from recsys.control.plane import ControlPlane
    from recsys.rows.release import Made

app = cyclopts.App(name="signals", help="Serve from rows: load them, list them, drop days, compile them.")

Kind = Literal["catalog", "popularity", "cooc"]
TakeOver = Annotated[
    bool, Parameter(negative="", help="Replace a current release that was not made from rows.")
]


@app.command
def load(
    kind: Kind,
    paths: Annotated[list[Path], Parameter(negative="", help="Files, folders or globs.")],
    /,
    *,
    tenant: Tenant,
    surface: str | None = None,
    map: Annotated[  # noqa: A002
        tuple[str, ...], Parameter(negative="", help="OURS=THEIRS: a column by another name.")
    ] = (),
    merge: Annotated[bool, Parameter(negative="")] = False,
    compile: Annotated[bool, Parameter(negative="--no-compile")] = True,  # noqa: A002
    take_over: TakeOver = False,
    at: RegistryOptions = IN_DATA_FOLDER,
    json: JsonFlag = False,
) -> int:
    """Load rows into the control store, all or none, and make releases of the surfaces that they change.

    catalog: item_id, title, tags, brand, category, price, created_at, available, valid_until, surface.
    popularity: surface, segment, day, item_id, count. cooc: surface, day, item_id, neighbor_id, count.

    Parameters
    ----------
    kind
        What the rows are.
    surface
        The surface of every row, for rows that do not say. A catalog without one is for all surfaces.
    merge
        Keep the rows of the same day (or catalog) that do not come; else these are replaced as a whole.
    compile
        Make the releases now; a running service does it by itself.
    """
    from recsys.pipelines.input.files import find_input_files
    from recsys.pipelines.input.mapping import merge_options
    from recsys.rows.load import load_rows

    constants = () if surface is None else (f"surface={surface}",)
    mapping = merge_options(None, columns=map, constants=constants)
    with control_plane(at.where) as plane:
        with progress() as begin:
            loaded = load_rows(
                plane,
                tenant,
                kind,
                find_input_files(paths),
                mapping,
                mode="merge" if merge else "replace",
                actor=actor(),
                begin=begin,
            )
        made = _compile(plane, at, tenant, take_over=take_over) if compile else []
    if json:
        print_json({"loaded": loaded, "made": made})
    else:
        days = "" if loaded.first_day is None else f", {loaded.first_day} to {loaded.last_day}"
        print(f"{kind}: {loaded.rows:,} rows{days}; {loaded.changed} of {loaded.sets} sets changed")
    return _show(made, quiet=json)


@app.command(name="list")
def list_(*, tenant: Tenant, where: Where = WHERE, json: JsonFlag = False) -> None:
    """List what a tenant has loaded, and what became of it."""
    from recsys.control.rows import find_row_release, list_row_sets
    from recsys.control.tenants import find_tenant

    with control_plane(where) as plane, plane.read() as reader:
        find_tenant(reader, tenant)
        sets = list_row_sets(reader, tenant)
        surfaces = sorted({one.name.surface for one in sets if one.name.surface is not None})
        releases = [find_row_release(reader, tenant, surface) for surface in surfaces]
    if json:
        print_json({"sets": sets, "releases": [one for one in releases if one is not None]})
        return
    groups: dict[tuple[str, str, str], list[tuple[date | None, int]]] = {}
    for one in sets:
        place = (one.name.kind, one.name.surface or "(all)", one.name.segment or "")
        groups.setdefault(place, []).append((one.name.day, one.rows))
    print_table(
        ["kind", "surface", "segment", "days", "from", "to", "rows"],
        [
            (*place, len(days), days[0][0], days[-1][0], sum(rows for _, rows in days))
            for place, days in groups.items()
        ],
    )
    for release in releases:
        if release is not None and release.error is not None:
            print_error(f"surface {release.surface}: {release.error}")


@app.command
def drop(
    kind: Kind,
    /,
    *,
    tenant: Tenant,
    surface: str | None = None,
    before: datetime | None = None,
    where: Where = WHERE,
) -> None:
    """Remove rows; a surface keeps its release until the next one is made.

    Parameters
    ----------
    kind
        What the rows are.
    surface
        Only those of this surface.
    before
        Only days before this one.
    """
    from recsys.rows.load import drop_rows

    with control_plane(where) as plane:
        day = None if before is None else before.date()
        print(f"{drop_rows(plane, tenant, kind, surface=surface, before=day, actor=actor())} sets removed")


@app.command(name="compile")
def compile_(
    *,
    tenant: Tenant,
    take_over: TakeOver = False,
    at: RegistryOptions = IN_DATA_FOLDER,
    json: JsonFlag = False,
) -> int:
    """Make a release of every surface whose rows or half-lives have changed."""
    with control_plane(at.where) as plane:
        plane.tenant(tenant)
        made = _compile(plane, at, tenant, take_over=take_over)
    if json:
        print_json(made)
    return _show(made, quiet=json)


def _compile(plane: ControlPlane, at: RegistryOptions, tenant: str, *, take_over: bool) -> list[Made]:
    from recsys.rows.release import make_releases

    scratch = at.where.data_dir / "cache" / "rows"
    return make_releases(plane, at.open(), scratch, tenant_ids=[tenant], actor=actor(), take_over=take_over)


def _show(made: list[Made], *, quiet: bool) -> int:
    for one in made:
        for left_out in one.left_out:
            print_warning(f"{one.surface}: {left_out}")
        if one.error is not None:
            print_error(f"surface {one.surface}: {one.error}")
        elif not quiet:
            print(f"{one.surface}: release {one.version}")
    return FAILED if any(one.error for one in made) else OK
