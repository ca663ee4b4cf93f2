"""Puts and rolls back configs until it is killed, telling each acknowledged version on stdout."""

from __future__ import annotations

import sys
from itertools import count
from pathlib import Path

from recsys.control.locations import StoreLocation
from recsys.control.plane import ControlPlane


def main() -> None:
    plane = ControlPlane.open(StoreLocation(Path(sys.argv[1]), sys.argv[2] or None))
    start = plane.generation()
    for number in count(start):
        body = b'{"limits":{"tenant_requests_per_s":%d}}' % (number + 1)
        print(plane.put("demo", "config", body, author="w", comment="w").version, flush=True)
        if number % 3 == 2:
            print(plane.roll_back("demo", "config", author="w").version, flush=True)


main()
