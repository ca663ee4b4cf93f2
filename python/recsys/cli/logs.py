"""``recsys logs``: list, compact, ship and clear the event logs."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Annotated

import cyclopts
from cyclopts import Parameter

from recsys.cli.console import JsonFlag, print_json, print_table, print_warning
from recsys.cli.store_options import DATA_DIR, DataDir
from recsys.contracts.errors import UsageError

Url = Annotated[str, Parameter(name="--to", help="An object store, as s3://bucket/prefix or file:///folder.")]
_MAX_DAYS = 36_500
Days = Annotated[int | None, Parameter(help="Remove local compacted files of days more than so many ago.")]
Store = Annotated[str | None, Parameter(name="--from", help="The object store that --store-days clears.")]
StoreDays = Annotated[int | None, Parameter(help="Remove objects of days more than so many ago.")]

app = cyclopts.App(name="logs", help="List, compact, ship and clear the event logs.")


@app.command(name="list")
def list_(*, data_dir: DataDir = DATA_DIR, json: JsonFlag = False) -> None:
    """List the parts and compacted files of every log."""
    from recsys.eventlog.listing import list_logs

    files = list_logs(data_dir / "logs", time.time())
    if json:
        print_json(files)
        return
    columns = ["kind", "state", "tenant", "surface", "day", "bytes", "file"]
    print_table(columns, [[getattr(file, name) for name in columns] for file in files])


@app.command
def compact(*, data_dir: DataDir = DATA_DIR, json: JsonFlag = False) -> None:
    """Turn closed parts into Parquet by tenant, surface and day."""
    from recsys.eventlog.compaction import compact_logs

    done = compact_logs(data_dir / "logs", now=time.time())
    for one in done:
        if one.bad_lines:
            print_warning(f"{one.kind}: {one.bad_lines} lines are no records; kept in .compaction/bad")
    if json:
        print_json(done)
        return
    columns = ["kind", "parts", "records", "duplicates", "bad_lines", "files"]
    print_table(columns, [[getattr(one, name) for name in columns] for one in done])


@app.command
def ship(*, to: Url, data_dir: DataDir = DATA_DIR, json: JsonFlag = False) -> None:
    """Send compacted files to an object store, each once."""
    from recsys.eventlog.shipping import ship_logs

    done = ship_logs(data_dir / "logs", to)
    print_json(done) if json else print(f"shipped {done.files} files, {done.bytes} bytes")


@app.command
def retain(
    *,
    days: Days = None,
    keep_unshipped: Annotated[
        bool, Parameter(negative="", help="Keep what is not in an object store yet.")
    ] = False,
    from_: Store = None,
    store_days: StoreDays = None,
    data_dir: DataDir = DATA_DIR,
    json: JsonFlag = False,
) -> None:
    """Remove what is older than it has to be."""
    from recsys.eventlog.retention import remove_old

    if days is None and store_days is None:
        raise UsageError("give --days, --store-days or both")
    if (from_ is None) != (store_days is None):
        raise UsageError("--store-days and --from go together")
    if not all(0 <= one <= _MAX_DAYS for one in (days, store_days) if one is not None):
        raise UsageError(f"--days and --store-days are from 0 to {_MAX_DAYS}")
    done = remove_old(
        data_dir / "logs",
        datetime.now(UTC).date(),
        days=days,
        url=from_,
        store_days=store_days,
        keep_unshipped=keep_unshipped,
    )
    print_json(done) if json else print(f"removed {done.files} files and {done.objects} objects")
