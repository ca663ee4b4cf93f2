"""Puts and rolls back configs until it is killed, telling each acknowledged version on stdout."""

from __future__ import annotations

import sys
from datetime import date
from itertools import count
from pathlib import Path

from recsys.control.audit import append_entry
from recsys.control.locations import StoreLocation
from recsys.control.plane import ControlPlane
from recsys.control.rows import RowSetName, put_row_set
from recsys.control.store import Writer


def put_rows(plane: ControlPlane, number: int) -> str:
    """Replace a day of rows, as a load does, and return what its audit entry says."""
    name = RowSetName("popularity", "home", "default", date(2026, 1, number % 28 + 1))
    chunks = [b"%d-%d" % (number, chunk) * 500 for chunk in range(number % 5 + 1)]

    def change(writer: Writer) -> str:
        put_row_set(writer, "demo", name, chunks, rows=1, time=plane.now())
        entry = append_entry(
            writer, time=plane.now(), tenant="demo", actor="w", action="signals.load", subject="popularity",
            before=None, after=f"rows {number}",
        )  # fmt: skip
        return str(entry.after)

    return plane.update(change)


def main() -> None:
    plane = ControlPlane.open(StoreLocation(Path(sys.argv[1]), sys.argv[2] or None))
    start = plane.generation()
    for number in count(start):
        body = b'{"limits":{"tenant_requests_per_s":%d}}' % (number + 1)
        print(plane.put("demo", "config", body, author="w", comment="w").version, flush=True)
        if number % 4 == 1:
            print(put_rows(plane, number), flush=True)
        if number % 3 == 2:
            print(plane.roll_back("demo", "config", author="w").version, flush=True)


main()
