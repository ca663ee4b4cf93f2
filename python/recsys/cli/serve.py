"""``recsys serve``: answer recommendation requests over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import cyclopts
from cyclopts import Parameter
from cyclopts.validators import Number

from recsys.cli.console import OK, USAGE, print_error

app = cyclopts.App(name="serve")


@app.default
def serve(
    *,
    dev: Annotated[bool, Parameter(negative="")] = False,
    host: str = "127.0.0.1",
    port: Annotated[int, Parameter(validator=Number(gte=0, lte=65535))] = 8000,
    data_dir: Path = Path("data"),
    workers: Annotated[int, Parameter(validator=Number(gte=1, lte=256))] = 1,
) -> int:
    """Serve recommendations from a data folder.

    Parameters
    ----------
    dev
        Development mode: loopback only, tenant from X-Org-Id (default demo), everybody is admin.
    host
        The address to listen at.
    port
        The port to listen at; 0 takes a free one.
    data_dir
        The folder with tenants/, and where logs/, control/ and cache/ go.
    workers
        Worker processes; they share the pages of the artifacts.
    """
    if not dev:
        print_error("only development mode is there: add --dev")
        return USAGE
    from recsys.service.server import ServeOptions, serve_development

    serve_development(ServeOptions(data_dir, host, port, workers), lambda line: print(line, flush=True))
    return OK
