"""Phase 1 of the pilot run: rows are loaded and served, a week is replayed, the logs are checked."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recsys.demo.prepare import write_retail_files
from recsys.demo.retail import SURFACE, TENANT
from recsys.pilot.baskets import baskets_of
from recsys.pilot.journal import StepRecord
from recsys.pilot.replay_baskets import ReplayResult, replay_baskets
from recsys.pilot.world import BASELINE_WEEK, LAST_TRAINING_WEEK, PilotError, World

ROWS_WEEKS = 4
"""Daily counts of so many weeks are the baseline's popularity."""


class _Rates(msgspec.Struct):
    verdict: str
    join_rate: float | None
    lines: dict[str, int]


def load_rows(world: World, record: StepRecord) -> None:
    """The tenant is created; its catalog and four weeks of daily counts are loaded, as from a database."""
    training = world.data.weeks(1, LAST_TRAINING_WEEK)
    write_retail_files(training, world.files)
    daily = daily_counts(pq.read_table(world.files.interactions, columns=["ts", "item_id"]))
    path = world.data_dir / "retail" / "daily.parquet"
    pq.write_table(daily, path)
    world.command(record, "tenant", "create", TENANT, "--data-dir", str(world.data_dir))
    config = {"defaults": {"mode": "popularity"}, "surfaces": {SURFACE: {"schedule_hours": 24}}}
    put = ["config", "put", str(world.write("baseline.json", config)), *world.tenant()]
    world.command(record, *put, "--comment", "popularity is the baseline")
    for kind, rows in (("catalog", world.files.items), ("popularity", path)):
        world.command(record, "signals", "load", kind, str(rows), *world.tenant())
    record.measured |= {
        "items": f"{pq.read_metadata(world.files.items).num_rows:,}",
        "daily counts": f"{daily.num_rows:,} rows of {ROWS_WEEKS} weeks",
    }


def daily_counts(interactions: pa.Table) -> pa.Table:
    """Return how often each item was bought on each of the last whole days: surface, day, item_id, count."""
    last = pc.max(interactions["ts"]).as_py().replace(hour=0, minute=0, second=0, microsecond=0)
    since, until = (
        pa.scalar(time, interactions["ts"].type) for time in (last - timedelta(weeks=ROWS_WEEKS), last)
    )
    times = interactions["ts"]
    recent = interactions.filter(pc.and_(pc.greater_equal(times, since), pc.less(times, until)))
    days = pa.table({"day": recent["ts"].cast(pa.date32()), "item_id": recent["item_id"]})
    counted = days.group_by(["day", "item_id"]).aggregate([([], "count_all")])
    return pa.table(
        {
            "surface": pa.repeat(SURFACE, counted.num_rows),
            "day": counted["day"],
            "item_id": counted["item_id"],
            "count": counted["count_all"],
        }
    )


def serve_baseline(world: World, record: StepRecord) -> None:
    """Start the service; it is ready, and its first list is full."""
    world.start()
    ready = world.service.get("/readyz")
    answer = world.service.post("/v1/recommend", {"surface": SURFACE, "k": 20, "user": {"user_id": "first"}})
    items = msgspec.json.decode(answer.body, type=dict[str, msgspec.Raw]).get("items", msgspec.Raw(b"[]"))
    length = len(msgspec.json.decode(items, type=list[msgspec.Raw]))
    if ready.status != 200 or length != 20:
        raise PilotError(f"/readyz answered {ready.status}, the first list has {length} items")
    record.measured |= {"readyz": "200", "first list": f"{length} items"}


def replay_baseline(world: World, record: StepRecord) -> ReplayResult:
    """A week of real households asks for lists; what they bought from them comes back as outcomes."""
    catalog = catalog_ids(world)
    baskets = baskets_of(world.data, range(BASELINE_WEEK, BASELINE_WEEK + 1), catalog, world.scale)
    with world.client() as client:
        result = replay_baskets(client, SURFACE, baskets)
    note_replay(record, result)
    return result


def check_logs(world: World, record: StepRecord) -> None:
    """Exposures and outcomes are sane, and they join."""
    printed = world.command(record, "eval", "validate", *world.logs(), "--json")
    path = world.evidence / "validation.json"
    path.write_text(printed, encoding="utf-8")
    rates = msgspec.json.decode(printed, type=_Rates)
    if rates.verdict != "sane" or rates.join_rate is None:
        raise PilotError(f"the logs are not sane: {rates.verdict}")
    record.files.append(path.relative_to(world.folder).as_posix())
    record.measured |= {
        "verdict": rates.verdict,
        "join rate": f"{rates.join_rate:.1%}",
        "exposures": f"{rates.lines.get('exposures', 0):,}",
        "outcomes": f"{rates.lines.get('outcomes', 0):,}",
    }


def catalog_ids(world: World) -> frozenset[str]:
    """Return the items that may be recommended."""
    items = pq.read_table(world.files.items, columns=["item_id", "available"])
    available = items.filter(items["available"])["item_id"].to_pylist()
    return frozenset(str(item_id) for item_id in available)


def note_replay(record: StepRecord, result: ReplayResult) -> None:
    """Put what a replay saw into its step; a failed request fails the step."""
    record.measured |= {
        "requests": f"{result.requests:,} in {result.seconds:.1f} s, {result.failed} failed",
        "p95 at the client": f"{result.p95_ms:.1f} ms",
        "empty lists": f"{result.empty}",
        "outcomes a list": f"{result.conversion_rate:.3f}",
    }
    if result.failed or result.empty:
        raise PilotError(f"{result.failed} requests failed, {result.empty} lists were empty")
