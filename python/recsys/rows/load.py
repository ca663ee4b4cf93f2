"""Loading rows: read and check all of them first, then replace the days that they are about in one change."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Literal

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys.contracts.errors import RecsysError
from recsys.contracts.http import Name
from recsys.contracts.patterns import fits_file_name, in_words
from recsys.contracts.rows import RowKind, RowsLoaded
from recsys.contracts.rules import SegmentName
from recsys.control.audit import append_entry
from recsys.control.plane import ControlPlane
from recsys.control.rows import RowSetName, find_row_set, list_row_sets, put_row_set, read_chunks
from recsys.control.store import Writer
from recsys.control.tenants import find_tenant
from recsys.pipelines.build.request import BeginStage, unseen
from recsys.pipelines.input.files import InputFile
from recsys.pipelines.input.mapping import ColumnMapping
from recsys.pipelines.input.quarantine import BadRowLimit, Quarantine
from recsys.pipelines.input.reader import RowSource, read_rows
from recsys.rows.columns import CONTENT, KEYS, ROW_COLUMNS, from_chunks, to_chunks

LoadMode = Literal["replace", "merge"]
DEFAULT_SEGMENT = "default"
_DAY_MS = 86_400_000
_MAX_COUNT = 1e90
"""So that the sum of all days is a score that an artifact takes."""
_REMEDY = "map a column with --map OURS=THEIRS, or give the surface of all rows with --surface"


class RowsError(RecsysError):
    """Rows that cannot be loaded; the message names the field, and the row where it is one row's fault."""


def load_rows(
    plane: ControlPlane,
    tenant_id: str,
    kind: RowKind,
    files: Sequence[InputFile],
    mapping: ColumnMapping | None = None,
    *,
    mode: LoadMode = "replace",
    actor: str,
    begin: BeginStage = unseen,
) -> RowsLoaded:
    """Load every row of ``files`` in one change, or none, and return what that did.

    ``replace`` replaces each (surface, segment, day) that comes, or the catalog; ``merge`` replaces rows
    of the same items there and keeps the others. Doing either again changes nothing. Rows of one item in
    one set add up. Raises what :func:`~recsys.pipelines.input.reader.read_rows` raises,
    ``TooManyBadRowsError`` for the first bad row, and :class:`RowsError`.
    """
    plane.tenant(tenant_id)
    rows, count = _read(kind, files, mapping, begin)
    sets = _split(kind, rows)
    digest = hashlib.sha256()
    for name, part in sets:
        digest.update(msgspec.json.encode(name))
        for chunk in to_chunks(kind, part):
            digest.update(chunk)
    surfaces = sorted({name.surface for name, _ in sets if name.surface is not None})
    days = [name.day for name, _ in sets if name.day is not None]

    def change(writer: Writer) -> RowsLoaded:
        find_tenant(writer, tenant_id)
        time = plane.now()
        changed = 0
        for name, part in sets:
            whole = _merged(writer, tenant_id, name, part) if mode == "merge" else part
            chunks = to_chunks(kind, whole)
            changed += put_row_set(writer, tenant_id, name, chunks, rows=whole.num_rows, time=time)
        if changed:
            append_entry(
                writer,
                time=time,
                tenant=tenant_id,
                actor=actor,
                action="signals.load",
                subject=" ".join((kind, *surfaces[:10])),
                before=None,
                after=digest.hexdigest(),
                comment=f"{mode}: {count} rows, {changed} of {len(sets)} sets changed",
            )
        return RowsLoaded(
            kind,
            count,
            len(sets),
            changed,
            surfaces,
            min(days, default=None),
            max(days, default=None),
            digest.hexdigest(),
        )

    return plane.update(change)


def _read(
    kind: RowKind, files: Sequence[InputFile], mapping: ColumnMapping | None, begin: BeginStage
) -> tuple[pa.Table, int]:
    mapping = mapping or ColumnMapping()
    if mapping.timezone is None:
        mapping = msgspec.structs.replace(mapping, timezone="UTC")
    source = RowSource(files, ROW_COLUMNS[kind], mapping, closed="always", remedy=_REMEDY)
    advance = begin("reading rows", source.total_bytes)
    with Quarantine(None, BadRowLimit(share=None, count=0)) as quarantine:
        tables = [_typed(kind, table) for table in read_rows(source, quarantine, advance)]
        quarantine.check()
    if not tables:
        raise RowsError(f"there are no {kind} rows in the input")
    return pa.concat_tables(tables), quarantine.rows


def _typed(kind: RowKind, table: pa.Table) -> pa.Table:
    """Return a table with all columns of the kind, absent ones null."""
    fields = [*CONTENT[kind], pa.field("surface", pa.string())]
    if kind == "popularity":
        fields.append(pa.field("segment", pa.string()))
    if kind != "catalog":
        fields.append(pa.field("day", pa.int64()))
    arrays = [
        table[field.name].cast(field.type)
        if field.name in table.column_names
        else pa.nulls(table.num_rows, field.type)
        for field in fields
    ]
    typed = pa.table(arrays, schema=pa.schema(fields))
    if kind == "popularity":
        segments = typed["segment"].combine_chunks().fill_null(DEFAULT_SEGMENT)
        typed = typed.set_column(typed.column_names.index("segment"), "segment", segments)
    return typed


def _split(kind: RowKind, rows: pa.Table) -> list[tuple[RowSetName, pa.Table]]:
    """Return the rows of each set, in order of their keys, so that their order in the input does not
    matter.
    """
    _check_names(rows, "surface", Name)
    if kind == "popularity":
        _check_names(rows, "segment", SegmentName)
    if kind == "catalog":
        _refuse_doubles(rows)
        place = ["surface"]
    else:
        days = pa.array(rows["day"].to_numpy() // _DAY_MS)
        rows = rows.set_column(rows.column_names.index("day"), "day", days)
        place = ["surface", "segment", "day"] if kind == "popularity" else ["surface", "day"]
        rows = rows.group_by([*place, *KEYS[kind]]).aggregate([("count", "sum")])
        rows = rows.rename_columns([name.removesuffix("_sum") for name in rows.column_names])
        largest = pc.max(rows["count"]).as_py()
        if largest is not None and largest > _MAX_COUNT:
            raise RowsError(f"count: the rows of one item add up to more than {_MAX_COUNT:g} on a day")
    rows = rows.sort_by([(name, "ascending") for name in (*place, *KEYS[kind])]).combine_chunks()
    starts = _starts_of_runs(rows.select(place))
    ends = [*starts[1:], rows.num_rows]
    found = []
    for start, end in zip(starts, ends, strict=True):
        values = {name: rows[name][start].as_py() for name in place}
        day = values.get("day")
        name = RowSetName(
            kind,
            values["surface"],
            values.get("segment"),
            None if day is None else datetime.fromtimestamp(day * 86_400, UTC).date(),
        )
        found.append((name, rows.slice(start, end - start).select(CONTENT[kind].names)))
    return found


def _starts_of_runs(keys: pa.Table) -> list[int]:
    """Return where each run of equal rows starts, in a table sorted by all its columns."""
    is_new = np.zeros(keys.num_rows, dtype=bool)
    is_new[0] = True
    for column in keys.columns:
        codes = column.combine_chunks().dictionary_encode().indices.fill_null(-1).to_numpy()
        is_new[1:] |= codes[1:] != codes[:-1]
    return [int(start) for start in np.flatnonzero(is_new)]


def _merged(writer: Writer, tenant_id: str, name: RowSetName, part: pa.Table) -> pa.Table:
    """Return the rows of a set with those of ``part`` over them."""
    before = find_row_set(writer, tenant_id, name)
    if before is None:
        return part
    held = from_chunks(name.kind, read_chunks(writer, tenant_id, before))
    keys = KEYS[name.kind]
    replaced = (
        held.select(keys)
        .append_column("at", pa.array(range(held.num_rows), pa.int64()))
        .join(part.select(keys), keys=keys, join_type="left semi")
    )
    keep = np.ones(held.num_rows, dtype=bool)
    keep[replaced["at"].to_numpy()] = False
    whole = pa.concat_tables([held.filter(pa.array(keep)), part])
    return whole.sort_by([(key, "ascending") for key in keys])


def _check_names(rows: pa.Table, column: str, expected: object) -> None:
    for value in {str(value) for value in pc.unique(rows[column]).drop_null().to_pylist()}:
        try:
            msgspec.convert(value, expected)
        except msgspec.ValidationError as error:
            row = pc.index(rows[column], pa.scalar(value)).as_py() + 1
            said = in_words(str(error))
            raise RowsError(f"row {row}: {column} is {value[:80]!r}: {said}") from error
        if column == "surface" and not fits_file_name(value):
            row = pc.index(rows[column], pa.scalar(value)).as_py() + 1
            raise RowsError(f"row {row}: surface is {value[:80]!r}: too long for the name of a folder")


def _refuse_doubles(rows: pa.Table) -> None:
    seen: set[tuple[object, object]] = set()
    for row, key in enumerate(
        zip(*(rows[name].to_pylist() for name in ("surface", "item_id")), strict=True), 1
    ):
        if key in seen:
            raise RowsError(
                f"row {row}: item_id is {key[1]!r}, which an earlier row has: give each item once"
            )
        seen.add(key)


def drop_rows(
    plane: ControlPlane,
    tenant_id: str,
    kind: RowKind,
    *,
    surface: str | None = None,
    before: date | None = None,
    actor: str,
) -> int:
    """Remove sets of a kind, of one surface and of days before ``before`` where given; return how many."""

    def change(writer: Writer) -> int:
        find_tenant(writer, tenant_id)
        time = plane.now()
        chosen = [
            one.name
            for one in list_row_sets(writer, tenant_id)
            if one.name.kind == kind
            and surface in (None, one.name.surface)
            and (before is None or (one.name.day is not None and one.name.day < before))
        ]
        for name in chosen:
            put_row_set(writer, tenant_id, name, [], rows=0, time=time)
        if chosen:
            append_entry(
                writer,
                time=time,
                tenant=tenant_id,
                actor=actor,
                action="signals.drop",
                subject=kind if surface is None else f"{kind} {surface}",
                before=None,
                after=None,
                comment=f"{len(chosen)} sets" + ("" if before is None else f" before {before}"),
            )
        return len(chosen)

    return plane.update(change)
