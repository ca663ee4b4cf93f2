"""``recsys drill``: break something on a scratch copy, and see that it is noticed and mended."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import cyclopts
from cyclopts import Parameter

from recsys.cli.console import FAILED, OK, JsonFlag, print_json, print_table, progress
from recsys.contracts.errors import UsageError

app = cyclopts.App(name="drill")

ALL = "all"


@app.default
def drill(
    names: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    /,
    *,
    out: Path | None = None,
    json: JsonFlag = False,
) -> int:
    """Run drills by name, or all of them; without a name list them. Nothing outside a scratch folder changes.

    Parameters
    ----------
    names
        Names of drills, or `all`.
    out
        A folder for a record of each, which `recsys pilot readiness` reads.
    """
    import msgspec

    from recsys.pilot.drills.catalog import DRILLS, run_drill

    by_name = {one.name: one for one in DRILLS}
    if not names:
        rows = [(one.name, one.title, f"docs/runbooks/{one.runbook}.md") for one in DRILLS]
        if json:
            print_json([{"drill": name, "title": title, "runbook": page} for name, title, page in rows])
        else:
            print_table(["drill", "shows", "runbook"], rows)
        return OK
    unknown = [name for name in names if name not in by_name and name != ALL]
    if unknown:
        raise UsageError(f"{unknown[0]}: no such drill; there are {', '.join(by_name)} and {ALL}")
    chosen = list(DRILLS) if ALL in names else [by_name[name] for name in dict.fromkeys(names)]
    records = []
    with progress() as begin:
        advance = begin("drills", len(chosen))
        for one in chosen:
            record = run_drill(one)
            records.append(record)
            if out is not None:
                out.mkdir(parents=True, exist_ok=True)
                path = out / f"{record.drill}.json"
                path.write_bytes(msgspec.json.format(msgspec.json.encode(record)) + b"\n")
            advance(1)
    if json:
        print_json(records)
    else:
        print_table(
            ["drill", "passed", "detected s", "recovered s", "signal"],
            [(r.drill, r.passed, r.detected_s, r.recovered_s, r.detail or r.signal) for r in records],
        )
    return OK if all(record.passed for record in records) else FAILED
