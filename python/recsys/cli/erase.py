"""``recsys erase``: remove one user from logs, signals and audit comments."""

from __future__ import annotations

from typing import Annotated

import cyclopts
from cyclopts import Parameter

from recsys.cli.console import JsonFlag, print_json
from recsys.cli.releases import IN_DATA_FOLDER, RegistryOptions
from recsys.cli.store_options import Tenant, actor, control_plane
from recsys.contracts.errors import UsageError

app = cyclopts.App(name="erase")


@app.default
def erase(
    pseudonym: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    /,
    *,
    tenant: Tenant,
    user: str | None = None,
    shipped_to: str | None = None,
    at: RegistryOptions = IN_DATA_FOLDER,
    json: JsonFlag = False,
) -> None:
    """Remove one user of a tenant from logs, user-keyed signals of all releases, and audit comments.

    Services may go on meanwhile. Run it on each host that has logs of its own.

    Parameters
    ----------
    pseudonym
        The user_id of the logs: 64 hexadecimal digits.
    user
        In place of it, the id that callers send.
    shipped_to
        Where logs were shipped to, for objects whose receipts are not here.
    """
    from recsys.contracts.pseudonym import pseudonym as pseudonym_of
    from recsys.erasure.erase import erase_user
    from recsys.eventlog.recent import RecentEvents, user_key
    from recsys.eventlog.seen import SeenItems

    if (pseudonym is None) == (user is None):
        raise UsageError("give either a pseudonym or --user")
    with control_plane(at.where) as plane:
        if user is not None:
            pseudonym = pseudonym_of(plane.tenant(tenant).salt, user)
        done = erase_user(
            plane,
            at.open(),
            at.where.data_dir,
            tenant,
            pseudonym or "",
            actor=actor(),
            shipped_to=shipped_to,
        )
    seen = SeenItems(at.where.data_dir / "cache" / "seen")
    seen.forget_user(tenant, pseudonym or "")
    seen.close()
    touched = at.where.data_dir / "cache" / "events"
    if touched.is_dir():
        recent = RecentEvents(touched)
        recent.forget_user(user_key(tenant, pseudonym or ""))
        recent.close()
    if json:
        print_json(done)
        return
    records = done.live.records + done.compacted.records
    signals = f"{done.signals.artifacts} signals in {done.signals.releases} releases"
    print(
        f"erased: {records} log records, {signals}, {done.comments} comments; audit entry {done.audit_entry}"
    )
