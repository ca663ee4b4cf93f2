"""Interactions as the native builders take them: ordinals, times and weights, of one tenant and surface."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from recsys._native import Catalog, hash_strings, ordinals_of
from recsys.contracts.errors import BuildError, UsageError
from recsys.pipelines.build.request import BuildInput
from recsys.pipelines.input.quarantine import Quarantine
from recsys.pipelines.input.reader import interaction_source, read_rows

UNKNOWN = np.uint32(0xFFFF_FFFF)
ANY_EVENT = "*"


@dataclass(frozen=True)
class Selection:
    """Which interactions count, and how much: only those of ``tenant`` and ``surface`` where given.

    ``event_weights`` maps an event type to its weight, ``*`` that of types not named (1 by default); rows of
    weight zero are left out. With ``position_eta`` a row at rank r weighs min(r^eta, ``max_position_weight``)
    times as much; ranks 0 and 1 are both the top, and a row without rank weighs as one at the top.
    """

    tenant: str | None = None
    surface: str | None = None
    event_weights: Mapping[str, float] = field(default_factory=dict)
    position_eta: float = 0.0
    max_position_weight: float = 10.0

    def __post_init__(self) -> None:
        for event_type, weight in self.event_weights.items():
            if not (np.isfinite(weight) and weight >= 0):
                raise BuildError(f"event weight {event_type}={weight}: a weight is a finite number from 0 up")


def parse_event_weights(pairs: Sequence[str]) -> dict[str, float]:
    """Return the weights that ``TYPE=WEIGHT`` pairs give; raises :class:`UsageError` for one that is none."""
    weights: dict[str, float] = {}
    for pair in pairs:
        event_type, _, weight = pair.rpartition("=")
        try:
            weights[event_type] = float(weight)
        except ValueError:
            weights[event_type] = math.nan
        if not event_type or not 0 <= weights[event_type] < math.inf:
            raise UsageError(
                f"--event-weight {pair}: give it as TYPE=WEIGHT, a number from 0 up, such as click=1"
            )
    return weights


@dataclass(frozen=True)
class Rows:
    """A batch of rows that count. ``strings`` has the columns asked for; every array has the same length."""

    ordinals: npt.NDArray[np.uint32]
    ts_ms: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float64]
    strings: pa.Table

    def take(self, at: npt.NDArray[np.int64]) -> Rows:
        """Return the rows at these positions."""
        return Rows(self.ordinals[at], self.ts_ms[at], self.weights[at], self.strings.take(at))

    def having(self, column: str) -> Rows:
        """Return the rows that have a value in a column of ``strings``, which may be absent altogether."""
        if column not in self.strings.column_names:
            return self.take(np.zeros(0, dtype=np.int64))
        return self.take(np.flatnonzero(self.strings[column].is_valid().to_numpy()))


@dataclass
class Tally:
    """What was read so far: rows, and those not used, and the first and last time of those used."""

    rows: int = 0
    bad: int = 0
    unknown_items: int = 0
    other: int = 0
    first_ms: int | None = None
    last_ms: int | None = None

    def add_times(self, ts_ms: npt.NDArray[np.int64]) -> None:
        """Widen the window by the times of a batch."""
        if len(ts_ms):
            first, last = int(ts_ms.min()), int(ts_ms.max())
            self.first_ms = first if self.first_ms is None else min(first, self.first_ms)
            self.last_ms = last if self.last_ms is None else max(last, self.last_ms)


def read_interactions(
    catalog: Catalog,
    given: BuildInput,
    selection: Selection,
    tally: Tally,
    *,
    stage: str,
    strings: frozenset[str] = frozenset(),
    quarantined: bool = True,
) -> Iterator[Rows]:
    """Yield the interactions that count, and keep the tally of all.

    ``strings`` names further columns to carry along; ``quarantined`` writes bad rows to the quarantine and in
    the end raises :class:`~recsys.pipelines.input.errors.TooManyBadRowsError` past the limit. Raises
    :class:`BuildError` when rows of several tenants or surfaces come without a choice of one.
    """
    wanted = strings | {"tenant", "surface", "event_type"} | ({"rank"} if selection.position_eta else set())
    source = interaction_source(given.files, given.mapping, wanted)
    advance = given.begin(stage, source.total_bytes)
    seen: dict[str, str] = {}
    with Quarantine(given.quarantine if quarantined else None, given.limit) as quarantine:
        for table in read_rows(source, quarantine, advance):
            yield _select(catalog, table, selection, tally, seen=seen, strings=strings)
        tally.rows, tally.bad = quarantine.rows, quarantine.bad
        if quarantined:
            quarantine.check()
    # What was needed for reading is for the builder now.
    pa.default_memory_pool().release_unused()


def _select(
    catalog: Catalog,
    table: pa.Table,
    selection: Selection,
    tally: Tally,
    *,
    seen: dict[str, str],
    strings: frozenset[str],
) -> Rows:
    before = table.num_rows
    for name, chosen in (("tenant", selection.tenant), ("surface", selection.surface)):
        if name in table.column_names:
            table = _only(table, name, chosen, seen)
    weights = _weights(table, selection.event_weights) * _position_weights(table, selection)
    counting = weights > 0
    if not counting.all():
        table, weights = table.filter(pa.array(counting)), weights[counting]
    tally.other += before - table.num_rows
    ordinals = np.frombuffer(ordinals_of(catalog, *string_buffers(table["item_id"])), dtype="<u4")
    known = ordinals != UNKNOWN
    if not known.all():
        tally.unknown_items += int((~known).sum())
        table, weights, ordinals = table.filter(pa.array(known)), weights[known], ordinals[known]
    ts_ms = table["ts"].to_numpy().astype("<i8", copy=False)
    tally.add_times(ts_ms)
    carried = [name for name in table.column_names if name in strings]
    return Rows(ordinals, ts_ms, weights, table.select(carried))


def _only(table: pa.Table, name: str, chosen: str | None, seen: dict[str, str]) -> pa.Table:
    if chosen is not None:
        return table.filter(pc.equal(table[name], pa.scalar(chosen)))
    for value in pc.unique(table[name]).drop_null().to_pylist():
        if seen.setdefault(name, str(value)) != value:
            raise BuildError(
                f"the input has rows of two {name}s ({seen[name]!r}, {value!r}): choose one with --{name}"
            )
    return table


def _weights(table: pa.Table, event_weights: Mapping[str, float]) -> npt.NDArray[np.float64]:
    otherwise = event_weights.get(ANY_EVENT, 1.0)
    weights = np.full(table.num_rows, otherwise, dtype="<f8")
    if "event_type" in table.column_names:
        for event_type, weight in event_weights.items():
            if event_type != ANY_EVENT:
                is_type = pc.equal(table["event_type"], pa.scalar(event_type)).fill_null(False)
                weights[is_type.to_numpy()] = weight
    return weights


def _position_weights(table: pa.Table, selection: Selection) -> npt.NDArray[np.float64]:
    if not selection.position_eta or "rank" not in table.column_names:
        return np.ones(table.num_rows)
    ranks = table["rank"].cast(pa.float64()).to_numpy()
    weights = np.fmax(ranks, 1.0) ** selection.position_eta  # fmax: a missing rank is 1
    return np.asarray(np.minimum(weights, selection.max_position_weight))


def session_keys(rows: Rows, column: str = "session_id") -> npt.NDArray[np.uint64]:
    """Return the 64-bit hash of every row's session id, or of another column without nulls."""
    return np.frombuffer(hash_strings(*string_buffers(rows.strings[column])), dtype="<u8")


def string_buffers(column: pa.ChunkedArray[pa.StringScalar]) -> tuple[memoryview, memoryview]:
    """Return the offsets (int32, from the first row's on) and bytes of a string column without nulls."""
    values = column.combine_chunks()
    _, offsets, data = values.buffers()
    if offsets is None:
        return memoryview(bytes(4)).cast("i"), memoryview(b"")
    own = offsets.slice(4 * values.offset, 4 * (len(values) + 1))
    return memoryview(own).cast("B").cast("i"), memoryview(data or b"")
