"""``recsys backup``: copy the control store while it is in use."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import cyclopts
from cyclopts import Parameter

from recsys.cli.console import JsonFlag, print_json
from recsys.cli.store_options import WHERE, Where, control_plane

app = cyclopts.App(name="backup")


@app.default
def backup(
    folder: Annotated[Path, Parameter(allow_leading_hyphen=True)],
    /,
    *,
    where: Where = WHERE,
    json: JsonFlag = False,
) -> None:
    """Write a verified copy of the control store, and the secret of the API keys, into a new folder.

    It holds the salts and the secret: keep it where others cannot read it.
    """
    with control_plane(where) as plane:
        manifest = plane.backup(folder)
    if json:
        print_json(manifest)
        return
    report = manifest.report
    print(
        f"ok: {report.audit_entries} audit entries, {report.documents} documents, "
        f"{report.tenants} tenants at generation {manifest.generation}"
    )
