"""Appends exposures of two users in turn to a log, telling each line's request id, until it is stopped."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from recsys.contracts.records import ExposedItem, Exposure
from recsys.eventlog.log import EventLog
from recsys.eventlog.parts import PartWriter


def main() -> None:
    folder, users, name = Path(sys.argv[1]), sys.argv[2:4], sys.argv[4]
    log = EventLog(PartWriter(folder, max_bytes=20_000))
    number = 0
    while True:
        for user in users:
            number += 1
            record = Exposure(
                f"{name}-{number}",
                user,
                datetime.now(UTC),
                [ExposedItem("a", 1)],
                context={"tenant_id": "shop"},
            )
            assert log.append(record)
            print(user, record.request_id, flush=True)
        time.sleep(0.002)


main()
