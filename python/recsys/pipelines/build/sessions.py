"""Rows of sessions, from input files into a native builder."""

from __future__ import annotations

from typing import Protocol

from typing_extensions import Buffer

from recsys._native import Catalog
from recsys.pipelines.build.interactions import Selection, Tally, read_interactions, session_keys
from recsys.pipelines.build.request import BuildInput


class TakesSessions(Protocol):
    """A builder of rows: session keys u64, ordinals u32, times i64 (Unix milliseconds), weights f32."""

    def push(self, sessions: Buffer, ordinals: Buffer, ts_ms: Buffer, weights: Buffer) -> None:
        """Add rows."""


def push_session_rows(
    builder: TakesSessions, catalog: Catalog, given: BuildInput, selection: Selection, tally: Tally
) -> None:
    """Hand every row that counts to ``builder``; raises what :func:`read_interactions` raises."""
    stage, strings = "reading interactions", frozenset({"session_id"})
    for rows in read_interactions(catalog, given, selection, tally, stage=stage, strings=strings):
        weights = rows.weights.astype("<f4")
        builder.push(session_keys(rows).data, rows.ordinals.data, rows.ts_ms.data, weights.data)
