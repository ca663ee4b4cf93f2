"""``recsys demo``: the retail demo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import cyclopts
from cyclopts import Parameter

from recsys.cli.console import JsonFlag, print_json, print_table, progress

app = cyclopts.App(name="demo", help="Prepare the retail demo.")


@app.command
def replay(
    *,
    out: Path = Path("retail-replay"),
    cut_week: int = 48,
    last_week: int = 53,
    json: JsonFlag = False,
) -> None:
    """Cut the retail data in time: a release of the weeks before, and logs of the baskets after.

    `recsys eval offline` then compares what the release's signals would have shown.

    Parameters
    ----------
    out
        The folder that gets data/, logs/ and items.parquet.
    cut_week
        The first of the weeks (7 to 53) that the release does not know.
    last_week
        The last week in the logs.
    """
    from recsys.demo.replay import prepare_replay
    from recsys.demo.retail import ORIGIN

    with progress() as begin:
        made = prepare_replay(out, cut_week=cut_week, last_week=last_week, begin=begin)
    if json:
        print_json(made)
        return
    print(f"data: {ORIGIN}")
    print(f"{made.data_dir}: a release of the weeks before {made.since:%Y-%m-%d}")
    print(f"{made.baskets:,} baskets: {made.exposures}")
    print(f"{made.purchases:,} purchases: {made.outcomes}")


@app.command
def prepare(
    *,
    data_dir: Path = Path("data"),
    force: Annotated[bool, Parameter(negative="", help="Prepare again even if nothing changed.")] = False,
    json: JsonFlag = False,
) -> None:
    """Build catalog, popularity and co-visitation from the retail data, and a tenant to serve them.

    The data is dunnhumby "The Complete Journey" (MIT), one year of a grocery chain. Nothing is done when the
    folder is up to date.

    Parameters
    ----------
    data_dir
        The folder to prepare; `recsys serve --data-dir` takes the same one.
    """
    from recsys.demo.prepare import prepare_demo

    with progress() as begin:
        prepared, is_new = prepare_demo(data_dir, force=force, begin=begin)
    if json:
        print_json(prepared)
        return
    print(f"{data_dir} {'is ready' if is_new else 'is up to date'}: tenant demo, surface home")
    print(f"data: {prepared.origin}")
    print_table(
        ("artifact", "rows", "bytes", "path"),
        [(report.kind, report.rows, report.bytes, report.path) for report in prepared.artifacts],
    )
