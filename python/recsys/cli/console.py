"""What every command shares: where output goes, JSON, tables, progress, and the exit codes.

Results go to stdout, everything else (errors, warnings, progress) to stderr, so that output can be piped.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from rich.console import Console

OK = 0
FAILED = 1
USAGE = 2
INTERRUPTED = 130

_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")
_WIDEST = 1_000_000
"""Characters: wider than any table."""

JsonFlag = Annotated[bool, Parameter(name="--json", negative="", help="Print the result as JSON.")]

Advance = Callable[[int], None]
"""Tells a progress bar how many more units are done."""

BeginStage = Callable[[str, int | None], Advance]
"""Starts a stage by name, with its number of units when known, and returns what advances it."""


def stdout(width: int | None = None) -> Console:
    """Return a console on stdout, of ``width`` or that of the terminal; markup and highlighting are off."""
    from rich.console import Console

    return Console(highlight=False, markup=False, width=width)


def stderr() -> Console:
    """Return a console on stderr."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, markup=False)


def print_error(message: str) -> None:
    """Print one line on stderr: ``error: message``."""
    sys.stderr.write(f"error: {visible(' '.join(message.split()))}\n")


def print_warning(message: str) -> None:
    """Print one line on stderr: ``warning: message``."""
    sys.stderr.write(f"warning: {visible(' '.join(message.split()))}\n")


def visible(text: str) -> str:
    """Return ``text`` with what would steer a terminal written out; new lines stay.

    Titles, comments and ids are whatever somebody sent.
    """
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def print_json(value: object) -> None:
    """Print ``value`` (structs, dicts, lists, numbers, times) as indented JSON on stdout."""
    import msgspec

    encoded = msgspec.json.format(msgspec.json.encode(value), indent=2)
    sys.stdout.write(encoded.decode() + "\n")


def print_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    title: str | None = None,
    numeric: Sequence[bool] = (),
) -> None:
    """Print a table on stdout; numbers stand to the right, floats with four significant digits.

    A word is never split: ids, versions and commands can be copied, however narrow the terminal is.
    Without a terminal, and without ``COLUMNS``, nothing is wrapped.
    ``numeric`` says which columns are numbers, for those that are written already.
    """
    from rich import box
    from rich.measure import Measurement
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(columns):
        is_number = all(isinstance(row[index], int | float | None) for row in rows) and bool(rows)
        is_number = numeric[index] if numeric else is_number
        table.add_column(column, justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    console = stdout()
    needed = Measurement.get(console, console.options.update(max_width=_WIDEST), table).maximum
    if needed > console.width and (console.is_terminal or "COLUMNS" in os.environ):
        spans = [_span(column, [row[index] for row in rows]) for index, column in enumerate(columns)]
        for index, width in enumerate(_shrink(spans, needed - console.width)):
            table.columns[index].width = width
    stdout(max(needed, console.width)).print(table)


def _span(column: str, values: Sequence[object]) -> tuple[int, int]:
    """Return the fewest characters that a column takes with its words whole, and those it takes at best.

    A time, and a command to copy, is one word.
    """
    from rich.cells import cell_len

    least = most = 0
    for cell, is_whole in [(column, False), *((_cell(value), _is_whole(value)) for value in values)]:
        most = max([most, *(cell_len(line) for line in cell.splitlines())])
        words = cell.splitlines() if is_whole else cell.split()
        least = max([least, *(cell_len(word) for word in words)])
    return least, most


def _is_whole(value: object) -> bool:
    return isinstance(value, datetime) or (isinstance(value, str) and value.startswith("recsys "))


def _shrink(spans: Sequence[tuple[int, int]], excess: int) -> list[int]:
    """Return widths of columns, in sum smaller by ``excess`` if words allow it, the widest narrowed first."""
    widths = [most for _, most in spans]
    for _ in range(excess):
        able = [index for index, (least, _) in enumerate(spans) if widths[index] > least]
        if not able:
            break
        widths[max(able, key=widths.__getitem__)] -= 1
    return widths


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"
    return visible(str(value))


@contextmanager
def progress() -> Iterator[BeginStage]:
    """Yield a function that starts a stage with a bar on stderr; without a terminal there is no bar.

    ``begin(description, total)`` returns ``advance(amount)``; ``total=None`` means unknown length.
    """
    from rich.progress import (
        BarColumn,
        Progress,
        SpinnerColumn,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
    )

    console = stderr()
    bars = Progress(
        SpinnerColumn(finished_text="[green]done"),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
    )

    def begin(description: str, total: int | None) -> Advance:
        task = bars.add_task(description, total=total)

        def advance(amount: int) -> None:
            bars.advance(task, amount)

        return advance

    with bars:
        yield begin
