"""The options by which every evaluation command takes its logs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from recsys.contracts.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from recsys.evaluation.inputs import Role

Paths = Annotated[tuple[str, ...], Parameter(consume_multiple=True, negative="")]
"""Files, folders, globs and URLs, several after one option."""

Tenant = Annotated[
    str | None,
    Parameter(help="The tenant to measure (context.tenant_id); needed when the logs are of several."),
]


@Parameter(name="*")
@dataclass(frozen=True)
class LogOptions:
    """Where the logs are and how they are joined."""

    exposures: Annotated[
        Paths, Parameter(help="Exposure logs: files, folders, globs or URLs (.jsonl, .gz, .zst, .parquet).")
    ] = ()
    outcomes: Annotated[Paths, Parameter(help="Outcome logs.")] = ()
    assignments: Annotated[
        Paths, Parameter(help="Assignment logs, where exposures do not name the arm.")
    ] = ()
    memory: Annotated[str, Parameter(help="Memory bound of the join, such as 2GB; the rest spills.")] = "1GB"
    window: Annotated[
        str, Parameter(help="How long after its exposure an outcome counts, such as 24h or 7d.")
    ] = "24h"

    def logs(self, **more: tuple[str, ...]) -> dict[Role, tuple[str, ...]]:
        """Return role to paths of what was given, with the command's own roles, for ``open_inputs``."""
        given: dict[Role, tuple[str, ...]] = {
            "exposures": self.exposures,
            "outcomes": self.outcomes,
            "assignments": self.assignments,
            "ranklists": more.get("ranklists", ()),
        }
        return {role: paths for role, paths in given.items() if paths}

    def require(self, roles: Iterable[Role]) -> None:
        """Raise UsageError naming the first of ``roles`` that was not given."""
        missing = [role for role in roles if role not in self.logs()]
        if missing:
            raise UsageError(f"give --{missing[0]}")

    def attribution_window(self) -> timedelta:
        """Return ``window`` as a duration; raises UsageError when it is none."""
        from recsys.pipelines.build.request import parse_duration

        return timedelta(milliseconds=parse_duration(self.window))


NO_LOGS = LogOptions()
