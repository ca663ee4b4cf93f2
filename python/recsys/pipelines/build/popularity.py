"""The popularity artifact: what is taken most, of late, over all and in every segment."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from recsys._native import Catalog, PopularityBuilder
from recsys.pipelines.build.interactions import Rows, Selection, Tally, read_interactions
from recsys.pipelines.build.request import BuildInput, BuildReport, metadata_of
from recsys.pipelines.build.signals import require_window, signal_report

ALL = "default"
"""The segment of rows without one; every row counts for the list over all."""


@dataclass(frozen=True)
class PopularityOptions:
    """``half_life_ms=None`` counts all history alike; ``now_ms=None`` is the time of the last row."""

    half_life_ms: float | None = None
    now_ms: int | None = None
    selection: Selection = field(default_factory=Selection)
    memory_bytes: int = 1 << 30
    threads: int = 0


def build_popularity(
    catalog: Catalog, given: BuildInput, out: Path, options: PopularityOptions
) -> BuildReport:
    """Write the popularity signal to ``out``; a ``segment`` column gives each segment a list of its own.

    Raises :class:`BuildError` when no row counts, and what :func:`read_interactions` raises.
    """
    now_ms = options.now_ms if options.now_ms is not None else _last_time(catalog, given, options)
    tally = Tally()
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".build-", dir=out.parent) as scratch:
        builder = PopularityBuilder(
            catalog,
            now_ms=now_ms,
            half_life_ms=options.half_life_ms,
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
            strings=frozenset({"segment"}),
        ):
            segments, codes = _segments(rows)
            builder.push(segments, codes.data, rows.ordinals.data, rows.ts_ms.data, rows.weights.data)
        window = require_window(tally)
        params: dict[str, object] = {
            "half_life_ms": options.half_life_ms,
            "now_ms": now_ms,
            "event_weights": dict(options.selection.event_weights),
        }
        given.begin("writing", None)
        sha256 = builder.finish(str(out), metadata=metadata_of(params, window=window, rows=tally.rows))
    return signal_report("popularity", out, sha256, tally, given, window)


def _last_time(catalog: Catalog, given: BuildInput, options: PopularityOptions) -> int:
    """Return the time of the last row that counts; without a half-life nothing depends on it, and it is 0."""
    if options.half_life_ms is None:
        return 0
    tally = Tally()
    for _ in read_interactions(
        catalog, given, options.selection, tally, stage="finding the last day", quarantined=False
    ):
        pass
    return tally.last_ms or 0


def _segments(rows: Rows) -> tuple[list[str], npt.NDArray[np.uint32]]:
    if "segment" not in rows.strings.column_names:
        return [ALL], np.zeros(len(rows.ordinals), dtype="<u4")
    column: pa.ChunkedArray[pa.StringScalar] = rows.strings["segment"]
    encoded = column.combine_chunks().fill_null(ALL).dictionary_encode()
    segments = [str(segment) for segment in encoded.dictionary.to_pylist()]
    return segments, encoded.indices.to_numpy().astype("<u4")
