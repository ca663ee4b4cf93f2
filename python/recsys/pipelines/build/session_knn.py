"""The session index: past sessions by recency, searched at request time for those like the current one."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from recsys._native import Catalog, SessionKnnBuilder
from recsys.pipelines.build.interactions import Selection, Tally
from recsys.pipelines.build.request import BuildInput, BuildReport, metadata_of
from recsys.pipelines.build.sessions import push_session_rows
from recsys.pipelines.build.signals import require_window, signal_report


@dataclass(frozen=True)
class SessionKnnOptions:
    """An item keeps its latest ``sessions_per_item`` sessions; a search cannot look at more of them."""

    sessions_per_item: int = 2000
    max_items_per_session: int = 200
    selection: Selection = field(default_factory=Selection)
    memory_bytes: int = 1 << 30
    threads: int = 0


def build_session_knn(
    catalog: Catalog, given: BuildInput, out: Path, options: SessionKnnOptions
) -> BuildReport:
    """Write the session index to ``out``; sessions of a single item are left out.

    Raises :class:`BuildError` when no row counts, and what :func:`read_interactions` raises.
    """
    tally = Tally()
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".build-", dir=out.parent) as scratch:
        builder = SessionKnnBuilder(
            catalog,
            sessions_per_item=options.sessions_per_item,
            max_items_per_session=options.max_items_per_session,
            memory_bytes=options.memory_bytes,
            scratch_dir=scratch,
            threads=options.threads,
        )
        push_session_rows(builder, catalog, given, options.selection, tally)
        window = require_window(tally)
        given.begin("ordering sessions and writing", None)
        params: dict[str, object] = {"event_weights": dict(options.selection.event_weights)}
        sha256, heavy_sessions = builder.finish(
            str(out), metadata=metadata_of(params, window=window, rows=tally.rows)
        )
    return signal_report("session_knn", out, sha256, tally, given, window, heavy_sessions=heavy_sessions)
