"""The co-visitation artifact: what is taken together with an item in one session."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from recsys._native import Catalog, CoocBuilder
from recsys.pipelines.build.interactions import Selection, Tally
from recsys.pipelines.build.request import BuildInput, BuildReport, metadata_of
from recsys.pipelines.build.sessions import push_session_rows
from recsys.pipelines.build.signals import require_window, signal_report

Normalization = Literal["count", "cosine", "jaccard", "lift", "confidence"]


@dataclass(frozen=True)
class CoocOptions:
    """``window_ms`` bounds the time between two items of a session; ``None`` pairs all of them."""

    normalization: Normalization = "cosine"
    window_ms: int | None = None
    min_support: int = 2
    top_n: int = 100
    max_items_per_session: int = 200
    selection: Selection = field(default_factory=Selection)
    memory_bytes: int = 1 << 30
    threads: int = 0


def build_cooc(catalog: Catalog, given: BuildInput, out: Path, options: CoocOptions) -> BuildReport:
    """Write the co-visitation signal to ``out``.

    Raises :class:`BuildError` when no row counts, and what :func:`read_interactions` raises.
    """
    tally = Tally()
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".build-", dir=out.parent) as scratch:
        builder = CoocBuilder(
            catalog,
            normalization=options.normalization,
            window_ms=options.window_ms,
            min_support=options.min_support,
            top_n=options.top_n,
            max_items_per_session=options.max_items_per_session,
            memory_bytes=options.memory_bytes,
            scratch_dir=scratch,
            threads=options.threads,
        )
        push_session_rows(builder, catalog, given, options.selection, tally)
        window = require_window(tally)
        params: dict[str, object] = {
            "normalization": options.normalization,
            "window_ms": options.window_ms,
            "min_support": options.min_support,
            "top_n": options.top_n,
            "max_items_per_session": options.max_items_per_session,
            "event_weights": dict(options.selection.event_weights),
        }
        given.begin("counting pairs and writing", None)
        sha256, heavy_sessions = builder.finish(
            str(out), metadata=metadata_of(params, window=window, rows=tally.rows)
        )
    return signal_report("cooc", out, sha256, tally, given, window, heavy_sessions=heavy_sessions)
