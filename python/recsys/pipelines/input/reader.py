"""Rows of any supported file as batches of our columns; bad rows go to the quarantine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recsys.pipelines.input.columns import (
    ESSENTIAL,
    INTERACTION_COLUMNS,
    MAP_INTERACTIONS,
    MAPPED_INTERACTION_COLUMNS,
    Column,
)
from recsys.pipelines.input.convert import Values, convert_column, plain_value
from recsys.pipelines.input.errors import InputError
from recsys.pipelines.input.files import InputFile
from recsys.pipelines.input.formats import csv_header, csv_parser, has_json_key, json_parser, json_schema
from recsys.pipelines.input.mapping import ColumnMapping
from recsys.pipelines.input.quarantine import BadRow, Quarantine
from recsys.pipelines.input.salvage import Parse, parse_block
from recsys.pipelines.input.text import TextBlock, read_blocks, split_records

BATCH_ROWS = 256 * 1024
_MAX_RAW = 10_000
MAP_OR_SET = "map a column with --map OURS=THEIRS or give a constant with --set OURS=VALUE"
"""What is said to do of a file that lacks a column."""

Locate = Callable[[int], tuple[int, str]]
"""Gives the line and the raw text of a row of a batch."""


@dataclass(frozen=True)
class _RawBatch:
    """Rows as a file has them (``None`` if none parsed), those that did not parse, and where each row is."""

    table: pa.Table | None
    unparsed: Sequence[BadRow]
    locate: Locate


@dataclass(frozen=True)
class RowSource:
    """What to read: files, our columns, how theirs map to ours (``None``: by name), and which are wanted.

    Without a mapping, and with ``closed``, a file may have no column beside ours; ``always`` holds with
    one too. ``remedy`` is what a file that lacks a column is told to do; then of ``essential`` columns
    only is said that they are missing, if one is.
    """

    files: Sequence[InputFile]
    columns: Sequence[Column]
    mapping: ColumnMapping | None = None
    wanted: frozenset[str] | None = None
    closed: bool | Literal["always"] = False
    remedy: str = MAP_OR_SET
    essential: frozenset[str] = frozenset()

    @property
    def total_bytes(self) -> int:
        """Stored bytes of all files: what ``advance`` adds up to."""
        return sum(file.size for file in self.files)


def interaction_source(
    files: Sequence[InputFile], mapping: ColumnMapping | None, wanted: frozenset[str] | None = None
) -> RowSource:
    """Return what to read of interactions: our own rows without a mapping, of any other shape with one."""
    if mapping is not None:
        return RowSource(files, MAPPED_INTERACTION_COLUMNS, mapping, wanted, closed=True)
    return RowSource(
        files, INTERACTION_COLUMNS, None, wanted, closed=True, remedy=MAP_INTERACTIONS, essential=ESSENTIAL
    )


def read_rows(
    source: RowSource, quarantine: Quarantine, advance: Callable[[int], None]
) -> Iterator[pa.Table]:
    """Yield tables of good rows in our columns, typed by :func:`convert_column`, without absent ones.

    ``wanted`` narrows the optional columns; required ones are always read and checked. Memory is bounded by
    the batch. Raises :class:`InputError` for a file that cannot be read or that lacks a required column.
    """
    mapping = source.mapping or ColumnMapping()
    mapping.check([column.name for column in source.columns])
    columns = [
        column
        for column in source.columns
        if column.required or source.wanted is None or column.name in source.wanted
    ]
    read_columns = [column for column in columns if column.name not in mapping.constants]
    sources = [(column, mapping.source_of(column.name)) for column in read_columns]
    for file in source.files:
        for raw in _read_file(file, sources, source, advance):
            table, bad = _check_rows(file, raw, columns, mapping)
            quarantine.count(len(bad) + (table.num_rows if table is not None else 0), bad)
            if table is not None and table.num_rows:
                yield table


def _read_file(
    file: InputFile, sources: Sequence[tuple[Column, str]], source: RowSource, advance: Callable[[int], None]
) -> Iterator[_RawBatch]:
    is_closed = source.closed == "always" or (source.closed and source.mapping is None)
    mapping = source.mapping or ColumnMapping()
    ours = [(column, mapping.source_of(column.name)) for column in source.columns]
    known = {name for column, name in ours if column.name not in mapping.constants}
    if file.format == "parquet":
        yield from _read_parquet(file, sources, known if is_closed else None, source, advance)
        return
    quoted = file.format == "csv"
    parse: Parse | None = None
    unseen = set() if quoted else {name for column, name in sources if name != column.name}
    for block in read_blocks(file, quoted=quoted, advance=advance):
        rows = block
        unseen = {name for name in unseen if not has_json_key(block.data, name)}
        if parse is None:
            if quoted:
                names, rows = csv_header(file, block)
                wanted = _present(file, names, sources, known if is_closed else None, source)
                parse = csv_parser(names, wanted)
            else:
                everything = [one for one in ours if one[1] in known] if is_closed else sources
                parse = json_parser(json_schema(block, everything), refuse_unknown=is_closed)
        if rows.data.strip():
            yield _parse_text(file, rows, parse, quoted=quoted)
    if parse is None:
        if quoted:
            raise InputError(f"{file.path}: empty, not even a header line")
    elif unseen:
        raise _missing(
            file, [(column, name) for column, name in sources if name in unseen], "no record has one", source
        )


def _parse_text(file: InputFile, block: TextBlock, parse: Parse, *, quoted: bool) -> _RawBatch:
    parsed = parse_block(block, parse, quoted=quoted, count_records=not quoted)
    records = parsed.records

    def locate(row: int) -> tuple[int, str]:
        nonlocal records
        if records is None:
            records = split_records(block, quoted=quoted)
        record = records[row]
        return record.line, _shorten(record.data)

    unparsed = [
        BadRow(str(file.path), bad.record.line, bad.reason, _shorten(bad.record.data)) for bad in parsed.bad
    ]
    return _RawBatch(parsed.table, unparsed, locate)


def _read_parquet(
    file: InputFile,
    sources: Sequence[tuple[Column, str]],
    closed: set[str] | None,
    source: RowSource,
    advance: Callable[[int], None],
) -> Iterator[_RawBatch]:
    try:
        with pq.ParquetFile(file.path) as parquet:
            wanted = _present(file, parquet.schema_arrow.names, sources, closed, source)
            total = parquet.metadata.num_rows
            done = 0
            for batch in parquet.iter_batches(BATCH_ROWS, columns=wanted):
                yield _RawBatch(pa.Table.from_batches([batch]), (), _row_locator(batch, done))
                advance(file.size * (done + len(batch)) // total - file.size * done // total)
                done += len(batch)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{file.path}: {error}") from error


def _row_locator(batch: pa.RecordBatch, first_row: int) -> Locate:
    def locate(row: int) -> tuple[int, str]:
        values = {name: plain_value(batch[name][row]) for name in batch.schema.names}
        raw = msgspec.json.encode(values, enc_hook=str)
        return first_row + row + 1, _shorten(raw)

    return locate


def _shorten(raw: bytes) -> str:
    return raw[:_MAX_RAW].decode(errors="replace")


def _present(
    file: InputFile,
    names: Sequence[str],
    sources: Sequence[tuple[Column, str]],
    closed: set[str] | None,
    source: RowSource,
) -> list[str]:
    present = set(names)
    missing = [
        (column, name)
        for column, name in sources
        if (column.required or name != column.name) and name not in present
    ]
    if missing:
        found = f"the columns are {', '.join(names)}{_other_separator(file, names)}"
        raise _missing(file, missing, found, source)
    for _, name in sources:
        if names.count(name) > 1:
            raise InputError(f"{file.path}: {names.count(name)} columns are called {name!r}")
    if closed is not None and (unknown := sorted(present - closed)):
        raise InputError(
            f"{file.path}: unknown column {unknown[0]!r}; columns are {', '.join(sorted(closed))}"
        )
    return [name for name in dict.fromkeys(name for _, name in sources) if name in present]


def _other_separator(file: InputFile, names: Sequence[str]) -> str:
    """Say so when a CSV file seems to have something else than commas between its columns."""
    if file.format != "csv" or len(names) != 1:
        return ""
    found = next((one for one in (";", "\t", "|") if one in names[0]), None)
    return "" if found is None else f" (one column: {found!r} separates nothing here, save it with commas)"


def _missing(
    file: InputFile, missing: Sequence[tuple[Column, str]], found: str, source: RowSource
) -> InputError:
    essential = [(column, name) for column, name in missing if column.name in source.essential]
    names = (
        f"{name!r} (our {column.name})" if name != column.name else repr(name)
        for column, name in essential or missing
    )
    return InputError(f"{file.path}: no column {', '.join(names)}; {found}; {source.remedy}")


def _check_rows(
    file: InputFile, raw: _RawBatch, columns: Sequence[Column], mapping: ColumnMapping
) -> tuple[pa.Table | None, list[BadRow]]:
    bad = list(raw.unparsed)
    if raw.table is None:
        return None, bad
    n_rows = raw.table.num_rows
    faults: dict[int, str] = {}
    arrays: dict[str, Values] = {}
    for column in columns:
        if column.name in mapping.constants:
            values: Values = pa.repeat(mapping.constants[column.name], n_rows)
        elif (name := mapping.source_of(column.name)) in raw.table.column_names:
            values = raw.table[name].combine_chunks()
        else:
            continue
        converted = convert_column(column, values, mapping)
        arrays[column.name] = converted.values
        for row, reason in converted.faults.items():
            faults.setdefault(row, reason)
    table = pa.table(arrays)
    if faults:
        rows = sorted(faults)
        for row in rows:
            line, text = raw.locate(row)
            bad.append(BadRow(str(file.path), line, faults[row], text))
        keep = pc.invert(pc.is_in(pa.array(range(n_rows)), pa.array(rows)))
        table = table.filter(keep)
    bad.sort(key=lambda row: row.line)
    return table, bad
