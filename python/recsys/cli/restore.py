"""``recsys restore``: make the control store what it was at a backup."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import cyclopts
from cyclopts import Parameter

from recsys.cli.console import JsonFlag, print_json
from recsys.cli.store_options import WHERE, Where, actor

app = cyclopts.App(name="restore")


@app.default
def restore(
    folder: Annotated[Path, Parameter(allow_leading_hyphen=True)],
    /,
    *,
    replace: Annotated[bool, Parameter(negative="")] = False,
    where: Where = WHERE,
    json: JsonFlag = False,
) -> None:
    """Restore a backup into the control store, in one transaction; a running service follows by itself.

    Parameters
    ----------
    folder
        What `recsys backup` wrote, of a store on LMDB or on PostgreSQL.
    replace
        Restore over a store that holds something; what is not in the backup is lost.
    """
    from recsys.control.backup import restore_backup
    from recsys.control.plane import utc_now

    location = where.location
    manifest = restore_backup(
        folder,
        location.open_store,
        location.secret_folder,
        replace=replace,
        actor=actor(),
        time=utc_now(),
    )
    print_json(manifest) if json else print(f"restored generation {manifest.generation}")
