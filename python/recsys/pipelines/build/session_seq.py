"""The session sequence artifact: what comes after an item in a session, and how soon."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from recsys._native import Catalog, SessionSeqBuilder
from recsys.pipelines.build.interactions import Selection, Tally, read_interactions, session_keys
from recsys.pipelines.build.request import BuildInput, BuildReport, metadata_of
from recsys.pipelines.build.signals import require_window, signal_report

SequenceNormalization = Literal["count", "confidence"]
Within = Literal["session", "user"]
SEQUENCE_COLUMNS: dict[Within, str] = {"session": "session_id", "user": "user_id"}
"""What the rows of one sequence share."""


@dataclass(frozen=True)
class SessionSeqOptions:
    """``decay`` (0..1] multiplies the worth of each step further on, up to ``max_distance`` steps.

    A sequence is what has one session id, or ``within`` all rows of one user.
    """

    normalization: SequenceNormalization = "confidence"
    within: Within = "session"
    decay: float = 0.8
    max_distance: int = 10
    min_support: int = 2
    top_n: int = 100
    max_items_per_session: int = 200
    selection: Selection = field(default_factory=Selection)
    memory_bytes: int = 1 << 30
    threads: int = 0


def build_session_seq(
    catalog: Catalog, given: BuildInput, out: Path, options: SessionSeqOptions
) -> BuildReport:
    """Write the session sequence signal to ``out``; events of a sequence at one moment are one step.

    Rows without a user are left out of sequences of users. Raises :class:`BuildError` when no row counts, and
    what :func:`read_interactions` raises.
    """
    tally, used = Tally(), Tally()
    column = SEQUENCE_COLUMNS[options.within]
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".build-", dir=out.parent) as scratch:
        builder = SessionSeqBuilder(
            catalog,
            normalization=options.normalization,
            decay=options.decay,
            max_distance=options.max_distance,
            min_support=options.min_support,
            top_n=options.top_n,
            max_items_per_session=options.max_items_per_session,
            memory_bytes=options.memory_bytes,
            scratch_dir=scratch,
            threads=options.threads,
        )
        for rows in read_interactions(
            catalog,
            given,
            options.selection,
            tally,
            stage="reading interactions",
            strings=frozenset({column}),
        ):
            kept = rows.having(column)
            tally.other += len(rows.ordinals) - len(kept.ordinals)
            used.add_times(kept.ts_ms)
            weights = kept.weights.astype("<f4")
            builder.push(session_keys(kept, column).data, kept.ordinals.data, kept.ts_ms.data, weights.data)
        window = require_window(used)
        given.begin("counting transitions and writing", None)
        params: dict[str, object] = {
            "within": options.within,
            "event_weights": dict(options.selection.event_weights),
        }
        sha256, heavy_sessions = builder.finish(
            str(out), metadata=metadata_of(params, window=window, rows=tally.rows)
        )
    return signal_report("session_seq", out, sha256, tally, given, window, heavy_sessions=heavy_sessions)
