"""The requests that are replayed: those with outcomes, each with what its user had done before."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple, cast

import numpy as np
import pyarrow as pa

from recsys.evaluation.joins import Join

_REQUESTS = """
SELECT request_id, user_id, usr, ts, coalesce(pairs['segment'], 'default') AS segment
FROM exposures SEMI JOIN (SELECT r1, r2 FROM matched WHERE in_window) USING (r1, r2)
LEFT JOIN contexts USING (ctx)
WHERE ($since IS NULL OR ts >= $since) AND ($until IS NULL OR ts < $until);
"""

_HISTORY = "SELECT usr, epoch_us(ts) AS ts_us, item_id FROM outcomes ORDER BY usr, ts, item_id"


class ReplayRequest(NamedTuple):
    """A request as it was, and the items of its user's earlier outcomes, latest first, each once."""

    request_id: str
    user_id: str
    ts: datetime
    segment: str
    anchors: list[str]


def find_requests(
    join: Join, since: datetime | None, until: datetime | None, max_anchors: int
) -> Iterator[ReplayRequest]:
    """Yield the requests of ``join`` (with names) that have outcomes, in order of time.

    Only outcomes before a request are its anchors: what came of it is what the lists are judged by.
    """
    join.connection.execute(f"CREATE TEMP TABLE replayed AS {_REQUESTS}", {"since": since, "until": until})
    history = cast("pa.Table", join.connection.sql(_HISTORY).to_arrow_table())
    users, starts = np.unique(history["usr"].to_numpy(), return_index=True)
    ends = np.append(starts[1:], history.num_rows)
    times, items = history["ts_us"].to_numpy(), history["item_id"].combine_chunks()
    rows = cast(
        "pa.Table",
        join.connection.sql(
            "SELECT *, epoch_us(ts) AS ts_us FROM replayed ORDER BY ts, request_id"
        ).to_arrow_table(),
    )
    places = np.searchsorted(users, rows["usr"].to_numpy())
    for row, place in zip(rows.to_pylist(), places.tolist(), strict=True):
        anchors: list[str] = []
        if place < len(users) and users[place] == row["usr"]:
            start = int(starts[place])
            end = start + int(np.searchsorted(times[start : ends[place]], row["ts_us"]))
            # More than are needed, for an item may occur again.
            latest = items.slice(
                max(start, end - 4 * max_anchors), min(4 * max_anchors, end - start)
            ).to_pylist()
            anchors = list(dict.fromkeys(reversed(latest)))[:max_anchors]
        yield ReplayRequest(row["request_id"], row["user_id"], row["ts"], row["segment"], anchors)
