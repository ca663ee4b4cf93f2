"""What every command shares: where output goes, JSON, tables, progress, and the exit codes.

Results go to stdout, everything else (errors, warnings, progress) to stderr, so that output can be piped.
"""

from __future__ import annotations

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

JsonFlag = Annotated[bool, Parameter(name="--json", negative="", help="Print the result as JSON.")]

Advance = Callable[[int], None]
"""Tells a progress bar how many more units are done."""

BeginStage = Callable[[str, int | None], Advance]
"""Starts a stage by name, with its number of units when known, and returns what advances it."""


def stdout() -> Console:
    """Return a console on stdout; words are never broken by markup or highlighting."""
    from rich.console import Console

    return Console(highlight=False, markup=False)


def stderr() -> Console:
    """Return a console on stderr."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, markup=False)


def print_error(message: str) -> None:
    """Print one line on stderr: ``error: message``."""
    line = " ".join(message.split())
    sys.stderr.write(f"error: {line}\n")


def print_warning(message: str) -> None:
    """Print one line on stderr: ``warning: message``."""
    line = " ".join(message.split())
    sys.stderr.write(f"warning: {line}\n")


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

    ``numeric`` says which columns are numbers, for those that are written already.
    """
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(columns):
        is_number = all(isinstance(row[index], int | float | None) for row in rows) and bool(rows)
        is_number = numeric[index] if numeric else is_number
        is_time = any(isinstance(row[index], datetime) for row in rows)
        table.add_column(column, justify="right" if is_number else "left", overflow="fold", no_wrap=is_time)
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    stdout().print(table)


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
    return str(value)


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
