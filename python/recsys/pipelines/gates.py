"""Quality gates: what interactions and artifacts must keep to for a release.

Each gate compares one number with its limit. All are run, so that one look tells everything that is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow.parquet as pq
from msgspec import Struct

from recsys._native import Catalog, ordinals_of
from recsys.contracts.errors import RecsysError
from recsys.contracts.manifest import Manifest
from recsys.contracts.pipeline import GateSettings
from recsys.pipelines.build.interactions import UNKNOWN, string_buffers
from recsys.pipelines.workspace import DayCheckpoint, Workspace

_MIN_COMPARED_DAYS = 3


class GateError(RecsysError):
    """At least one gate failed; the message says which and by how much."""


class GateResult(Struct, frozen=True, omit_defaults=True):
    """One gate: ``value`` against ``limit``; ``where`` names the day or the kind where it is worst."""

    gate: str
    status: Literal["pass", "fail", "off"]
    value: float | None = None
    limit: float | None = None
    where: str | None = None

    def __str__(self) -> str:
        at = f" ({self.where})" if self.where else ""
        return f"{self.gate}{at}: {self.value:.6g}, limit {self.limit:.6g}"


def refuse_failures(results: list[GateResult]) -> None:
    """Raise :class:`GateError` naming every gate that failed."""
    failed = [str(result) for result in results if result.status == "fail"]
    if failed:
        name = next(result.gate for result in results if result.status == "fail")
        raise GateError(
            f"{len(failed)} of {len(results)} gates failed: {'; '.join(failed)}. If that is as it should be: "
            f"change the limit in the settings (gates.{name}), or publish all the same with --force"
        )


def check_interactions(
    workspace: Workspace, first: date, last: date, catalog: Catalog, gates: GateSettings
) -> list[GateResult]:
    """Run the gates on the canonical days of a range; reads their items, users and sessions."""
    days = workspace.days(first, last)
    rows = sum(day.rows for day in days.values())
    n_days = (last - first).days + 1
    smallest = min(days, key=lambda day: days[day].rows, default=first)
    if len(days) < n_days:
        smallest = next(day for n in range(n_days) if (day := first + timedelta(days=n)) not in days)
    duplicates = sum(day.duplicates for day in days.values())
    drop, growth = _changes(workspace.days(first - timedelta(days=gates.compare_days), last), first, gates)
    seen = _look_at_rows(
        [workspace.day_file(day) for day, known in days.items() if known.rows], catalog, gates
    )
    return [
        _at_least("min_rows", rows, gates.min_rows),
        _at_least(
            "min_rows_per_day",
            days[smallest].rows if smallest in days else 0,
            gates.min_rows_per_day,
            str(smallest),
        ),
        _at_most("max_drop", drop[0], gates.max_drop, drop[1]),
        _at_most("max_growth", growth[0], gates.max_growth, growth[1]),
        _at_most("max_duplicates", duplicates / max(1, rows + duplicates), gates.max_duplicates),
        _at_most("max_null_users", seen.null_users / max(1, rows), gates.max_null_users),
        _at_most("max_unknown_items", seen.unknown_items / max(1, rows), gates.max_unknown_items),
        _at_least("min_catalog_coverage", seen.items / catalog.n_items, gates.min_catalog_coverage),
        _at_most("max_heavy_sessions", seen.heavy / max(1, seen.sessions), gates.max_heavy_sessions),
    ]


def check_artifacts(
    files: Mapping[str, Path], current: Manifest | None, gates: GateSettings
) -> list[GateResult]:
    """Run the gates on the size of each artifact against the one that it replaces."""
    shrink, growth = (0.0, ""), (1.0, "")
    for kind, path in files.items():
        before = None if current is None else current.artifacts.get(kind)
        if before is None or not before.bytes:
            continue
        ratio = path.stat().st_size / before.bytes
        shrink = max(shrink, (1 - ratio, kind))
        growth = max(growth, (ratio, kind))
    return [
        _at_most("max_artifact_shrink", shrink[0], gates.max_artifact_shrink, shrink[1]),
        _at_most("max_artifact_growth", growth[0], gates.max_artifact_growth, growth[1]),
    ]


def _changes(
    days: Mapping[date, DayCheckpoint], first: date, gates: GateSettings
) -> tuple[tuple[float, str], tuple[float, str]]:
    """Return the greatest drop (a share) and growth (times) of a day from ``first`` on, and its day."""
    drop, growth = (0.0, ""), (1.0, "")
    for day, known in days.items():
        before = [
            earlier.rows
            for n in range(1, gates.compare_days + 1)
            if (earlier := days.get(day - timedelta(days=n))) is not None
        ]
        mean = sum(before) / len(before) if before else 0.0
        if day < first or len(before) < _MIN_COMPARED_DAYS or not mean:
            continue
        drop = max(drop, (1 - known.rows / mean, str(day)))
        growth = max(growth, (known.rows / mean, str(day)))
    return drop, growth


class _Seen(Struct):
    null_users: int = 0
    unknown_items: int = 0
    items: int = 0
    sessions: int = 0
    heavy: int = 0


def _look_at_rows(files: list[Path], catalog: Catalog, gates: GateSettings) -> _Seen:
    """Count what the gates need; sessions are counted within a day."""
    seen = _Seen()
    items: set[int] = set()
    for path in files:
        table = pq.read_table(path, columns=["item_id", "user_id", "session_id"])
        seen.null_users += table["user_id"].null_count
        ordinals = np.frombuffer(ordinals_of(catalog, *string_buffers(table["item_id"])), dtype="<u4")
        is_unknown = ordinals == UNKNOWN
        seen.unknown_items += int(is_unknown.sum())
        items.update(np.unique(ordinals[~is_unknown]).tolist())
        sessions = table.group_by("session_id").aggregate([([], "count_all")])["count_all"].to_numpy()
        seen.sessions += len(sessions)
        seen.heavy += int((sessions > gates.heavy_session_items).sum())
    seen.items = len(items)
    return seen


def _at_least(gate: str, value: float, limit: float | None, where: str = "") -> GateResult:
    return _result(gate, value, limit, where, fails=limit is not None and value < limit)


def _at_most(gate: str, value: float, limit: float | None, where: str = "") -> GateResult:
    return _result(gate, value, limit, where, fails=limit is not None and value > limit)


def _result(gate: str, value: float, limit: float | None, where: str, *, fails: bool) -> GateResult:
    status: Literal["pass", "fail", "off"] = "off" if limit is None else "fail" if fails else "pass"
    return GateResult(gate, status, float(value), limit, where or None)
