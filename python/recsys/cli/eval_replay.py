"""Replay for ``recsys eval offline``: the ranked lists of systems that are not files yet."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from recsys.cli.store_options import control_plane

if TYPE_CHECKING:
    from recsys.cli.eval_inputs import LogOptions
    from recsys.cli.releases import RegistryOptions
    from recsys.evaluation.offline import OfflinePlan


@Parameter(name="*")
@dataclass(frozen=True)
class ReplayOptions:
    """Whose releases are replayed, and how."""

    tenant: Annotated[
        str | None,
        Parameter(
            help="The tenant to measure (context.tenant_id), needed when the logs are of several, and whose "
            "releases are replayed (default: demo)."
        ),
    ] = None
    surface: Annotated[str, Parameter(help="The surface whose releases are replayed.")] = "home"
    max_anchors: Annotated[
        int, Parameter(help="Anchors of a request, at most.", validator=Number(gte=0, lte=50))
    ] = 20


@contextmanager
def ranked_again(
    names: Sequence[str],
    given: LogOptions,
    plan: OfflinePlan,
    replay: ReplayOptions,
    releases: RegistryOptions,
) -> Iterator[dict[str, Path]]:
    """Yield, for each of ``names`` that is ranked again, the file of its lists."""
    from recsys.evaluation.inputs import open_inputs
    from recsys.evaluation.joins import open_join
    from recsys.replay.lists import write_lists
    from recsys.replay.requests import find_requests
    from recsys.replay.systems import ReplaySource, is_replayed, open_system

    wanted = [name for name in names if is_replayed(name)]
    made: dict[str, Path] = {}
    with tempfile.TemporaryDirectory(prefix="recsys-replay-") as folder:
        if wanted:
            with (
                control_plane(releases.where) as plane,
                open_inputs(given.logs()) as inputs,
                open_join(inputs, window=plan.window, memory=given.memory, tenant=replay.tenant) as join,
            ):
                tenant = replay.tenant or "demo"
                source = ReplaySource(
                    releases.open(),
                    releases.cache(),
                    lambda kind, version: plane.document(tenant, kind, version),
                    tenant,
                    replay.surface,
                )
                requests = list(find_requests(join, plan.since, plan.until, replay.max_anchors))
                for number, name in enumerate(wanted):
                    path = Path(folder) / f"{number}.jsonl"
                    with open_system(name, source) as system:
                        write_lists(requests, system, max(plan.ks), path)
                    made[name] = path
        yield made
