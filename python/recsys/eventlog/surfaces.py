"""Which surface an outcome belongs to: that of the exposure of its request."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from msgspec import Struct

from recsys.eventlog.layout import compacted_files, live_parts


class _Context(Struct, frozen=True):
    tenant_id: str | None = None
    surface: str | None = None


class _Exposed(Struct, frozen=True):
    request_id: str
    context: _Context | None = None


def find_surfaces(
    exposures: Path, tenant: str, request_ids: Iterable[str], days: set[date]
) -> dict[str, str]:
    """Return the surface of each request that an exposure of the log knows.

    Looks into compacted files of ``days`` and the day before each, and into live parts.
    """
    wanted = set(request_ids)
    found: dict[str, str] = {}
    if not exposures.is_dir() or not wanted:
        return found
    known_days = days | {day - timedelta(days=1) for day in days}
    ids = pa.array(sorted(wanted))
    for partition, path in compacted_files(exposures):
        if partition.tenant == tenant and partition.day in known_days:
            column = pq.read_table(path, columns=["request_id"], partitioning=None).column("request_id")
            for request_id in column.filter(pc.is_in(column, value_set=ids)).to_pylist():
                found[str(request_id)] = partition.surface
    decoder = msgspec.json.Decoder(_Exposed)
    for _, path in live_parts(exposures):
        with path.open("rb") as lines:
            for line in lines:
                try:
                    exposed = decoder.decode(line)
                except msgspec.MsgspecError:
                    continue  # a torn or broken line is told when its own part is compacted
                context = exposed.context
                if (
                    context
                    and context.surface
                    and context.tenant_id == tenant
                    and exposed.request_id in wanted
                ):
                    found.setdefault(exposed.request_id, context.surface)
    return found
