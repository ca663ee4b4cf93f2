"""``recsys demo``: the retail demo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import cyclopts
from cyclopts import Parameter

from recsys.cli.console import JsonFlag, print_json, print_table, progress

app = cyclopts.App(name="demo", help="Prepare the retail demo.")


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
