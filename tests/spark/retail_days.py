"""Some days of the retail data in a workspace, with segments, ranks and sessions as canonical days have."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recsys.demo.retail import SURFACE, TENANT, catalog_of, interactions_of, load_retail_data
from recsys.pipelines.build.request import BuildInput
from recsys.pipelines.ingest import ingest
from recsys.pipelines.input.files import find_input_files
from recsys.pipelines.input.mapping import ColumnMapping
from recsys.pipelines.stages import prepare_catalog
from recsys.pipelines.workspace import Workspace

FIRST, LAST = date(2017, 11, 1), date(2017, 11, 2)


def prepare(
    folder: Path, first: date = FIRST, last: date = LAST, *, session: str = "session_id"
) -> Workspace:
    """Ingest the days; every third row names the segment `a`, and ranks go round from 0 to 9.

    Sessions are baskets, whose items all have one time, or with ``user_id`` all that a household buys.
    """
    retail = load_retail_data()
    rows = interactions_of(retail)
    start, end = (
        datetime(day.year, day.month, day.day, tzinfo=UTC) for day in (first, last + timedelta(days=1))
    )
    rows = rows.filter((pc.field("ts") >= start) & (pc.field("ts") < end))
    rows = rows.set_column(rows.column_names.index("session_id"), "session_id", rows[session])
    n = rows.num_rows
    rows = rows.append_column("segment", pa.array([("a", None, None)[i % 3] for i in range(n)], pa.string()))
    rows = rows.append_column("rank", pa.array([i % 10 for i in range(n)], pa.int64()))
    pq.write_table(rows, folder / "rows.parquet")
    pq.write_table(catalog_of(retail), folder / "items.parquet")
    workspace = Workspace(folder / "data", TENANT, SURFACE)
    workspace.folder.mkdir(parents=True)
    ingest(workspace, BuildInput(find_input_files([folder / "rows.parquet"]), ColumnMapping()), first, last)
    prepare_catalog(workspace, [folder / "items.parquet"])
    return workspace
