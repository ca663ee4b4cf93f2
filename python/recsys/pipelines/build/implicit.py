"""The implicit artifact: items for each user, from what that user has taken."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt

from recsys._native import Catalog, ImplicitBuilder, Signal
from recsys.pipelines.build.interactions import Rows, Selection, Tally, read_interactions
from recsys.pipelines.build.request import BuildInput, BuildReport, metadata_of
from recsys.pipelines.build.signals import require_window, signal_report
from recsys.pipelines.build.users import Users


@dataclass(frozen=True)
class ImplicitOptions:
    """``max_history`` latest items of a user count, each half as much every ``half_life_ms`` before the last.

    ``drop_taken`` leaves out what the user has taken already.
    """

    users: Users
    top_n: int = 100
    max_history: int = 100
    half_life_ms: float | None = None
    drop_taken: bool = True
    selection: Selection = field(default_factory=Selection)
    memory_bytes: int = 1 << 30
    threads: int = 0


def build_implicit(
    catalog: Catalog, neighbours: Signal, given: BuildInput, out: Path, options: ImplicitOptions
) -> BuildReport:
    """Write the implicit signal to ``out`` by ``neighbours``, a signal keyed by item (co-visitation).

    Rows without a user are left out. Raises :class:`BuildError` when no row counts or the signal is of
    another catalog, and what :func:`read_interactions` raises.
    """
    tally = Tally()
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".build-", dir=out.parent) as scratch:
        builder = ImplicitBuilder(
            catalog,
            neighbours,
            top_n=options.top_n,
            max_history=options.max_history,
            half_life_ms=options.half_life_ms,
            drop_taken=options.drop_taken,
            memory_bytes=options.memory_bytes,
            scratch_dir=scratch,
            threads=options.threads,
        )
        for rows, pseudonyms in read_users(catalog, given, options.selection, tally, options.users):
            weights = rows.weights.astype("<f4")
            builder.push(pseudonyms.reshape(-1).data, rows.ordinals.data, rows.ts_ms.data, weights.data)
        window = require_window(tally)
        given.begin("scoring users and writing", None)
        params: dict[str, object] = {"event_weights": dict(options.selection.event_weights)}
        sha256 = builder.finish(str(out), metadata=metadata_of(params, window=window, rows=tally.rows))
    return signal_report("implicit", out, sha256, tally, given, window)


def read_users(
    catalog: Catalog, given: BuildInput, selection: Selection, tally: Tally, users: Users
) -> Iterator[tuple[Rows, npt.NDArray[np.uint8]]]:
    """Yield the interactions of known users, and their pseudonyms (``(n_rows, 32)``); others are tallied."""
    wanted = frozenset({"user_id"})
    used = Tally()
    stage = "reading interactions"
    for rows in read_interactions(catalog, given, selection, tally, stage=stage, strings=wanted):
        kept, pseudonyms = users.keep(rows)
        tally.other += len(rows.ordinals) - len(kept.ordinals)
        used.add_times(kept.ts_ms)
        yield kept, pseudonyms
    tally.first_ms, tally.last_ms = used.first_ms, used.last_ms
