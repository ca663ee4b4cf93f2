import importlib.util
import json
import os
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import ModuleType

import psycopg
import pyarrow.parquet as pq
import pytest

from recsys.cli.main import run
from recsys.contracts.records import ExposedItem, Exposure, Outcome
from recsys.eventlog.compaction import compact_logs
from recsys.eventlog.log import EventLog
from recsys.eventlog.parts import PartWriter
from recsys.pipelines.input.errors import InputError
from recsys.pipelines.sources.logs import download_logs
from recsys.pipelines.sources.postgres import download_query

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
DAY = date(2026, 1, 1)
OF = ["--tenant", "shop", "--surface", "home", "--from", "2026-01-01", "--to", "2026-01-01"]


def fixtures_of(folder: str) -> ModuleType:
    """The fixtures of another folder of tests."""
    path = Path(__file__).parents[1] / folder / "conftest.py"
    spec = importlib.util.spec_from_file_location(f"{folder}_fixtures", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


postgres = fixtures_of("control").postgres
s3_endpoint, s3 = (getattr(fixtures_of("artifacts"), name) for name in ("s3_endpoint", "s3"))


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """Exposures of two surfaces, and clicks on them by two users."""
    exposures = EventLog(PartWriter(tmp_path / "logs" / "exposures"))
    outcomes = EventLog(PartWriter(tmp_path / "logs" / "outcomes"))
    for n, minutes in enumerate([0, 10, 50, 60]):
        surface = "cart" if n == 3 else "home"
        context = {"tenant_id": "shop", "surface": surface, "segment": "young"}
        at = NOON + timedelta(minutes=minutes)
        items = [ExposedItem("a", 1), ExposedItem("b", 2)]
        exposures.append(Exposure(f"r{n}", "u1", at, items, context))
        outcomes.append(Outcome(f"r{n}", "u1", "b", "click", at, 2.5))
    outcomes.append(Outcome("r2", "u1", "b", "click", NOON + timedelta(minutes=50), 2.5))  # sent twice
    outcomes.append(Outcome("r9", "u2", "a", "click", NOON))  # its exposure is lost
    outcomes.append(Outcome("r0", "u1", "z", "conversion", NOON + timedelta(days=1)))  # another day
    exposures.close()
    outcomes.close()
    return tmp_path / "logs"


@pytest.mark.parametrize("compacted", [False, True])
def test_our_logs_become_interactions(logs: Path, tmp_path: Path, compacted: bool) -> None:
    if compacted:
        later = datetime.now(UTC).timestamp() + 7 * 86_400
        for part in logs.glob("*/*.jsonl"):
            os.utime(part, (0, 0))
        compact_logs(logs, now=later)
        assert not list(logs.glob("*/*.jsonl"))
    out = tmp_path / "rows.parquet"
    taken = download_logs(logs, "shop", "home", DAY, DAY, out)
    assert (taken.rows, taken.unjoined) == (3, 2)
    rows = pq.read_table(out).to_pylist()
    assert [(row["item_id"], row["rank"], row["segment"], row["value"]) for row in rows] == [
        ("b", 2, "young", 2.5)
    ] * 3
    assert [row["session_id"] for row in rows] == ["u1@20260101T120000"] * 2 + ["u1@20260101T125000"]
    with pytest.raises(InputError, match="no outcome of shop/cart from 2026-01-02"):
        download_logs(logs, "shop", "cart", DAY + timedelta(days=1), DAY + timedelta(days=1), out)
    with pytest.raises(InputError, match="there is no such log"):
        download_logs(tmp_path / "nowhere", "shop", "home", DAY, DAY, out)


def ingested(tmp_path: Path) -> list[dict[str, object]]:
    return pq.read_table(
        tmp_path / "data" / "pipeline" / "shop" / "home" / "canonical" / "day=2026-01-01.parquet"
    ).to_pylist()


def test_logs_are_ingested_by_the_command(
    logs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["pipeline", "ingest", *OF, "--logs", "logs"]) == 0
    assert len(ingested(tmp_path)) == 3
    assert run(["pipeline", "ingest", *OF]) == 2
    assert run(["pipeline", "ingest", *OF, "--logs", "logs", "--interactions", "x.jsonl"]) == 2


@pytest.fixture
def database(postgres: object) -> Iterator[str]:
    url: str = postgres.create_database()  # type: ignore[attr-defined]
    with psycopg.connect(url) as connection:
        connection.execute(
            "CREATE TABLE clicks (at timestamptz, basket bigint, product text, who text, amount numeric)"
        )
        connection.execute(
            "INSERT INTO clicks VALUES ('2026-01-01 23:30:00-01', 7, 'a', NULL, 1.25),"
            " ('2026-01-01 08:00:00Z', 7, 'b, \"quoted\"', 'u1', NULL),"
            " ('2026-01-01 09:00:00.5Z', 8, 'ü', 'u2', 3)"
        )
    return url


QUERY = (
    "SELECT at AS ts, basket AS session_id, product AS item_id, who AS user_id, amount AS value "
    "FROM clicks WHERE at >= %(from)s AND at < %(to)s;"
)


def test_a_query_is_ingested(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["pipeline", "ingest", *OF, "--interactions", database, "--query", QUERY]) == 0
    rows = ingested(tmp_path)
    assert [(row["item_id"], row["session_id"], row["user_id"], row["value"]) for row in rows] == [
        ('b, "quoted"', "7", "u1", None),
        ("ü", "8", "u2", 3.0),
    ]
    assert rows[1]["ts"] == datetime(2026, 1, 1, 9, 0, 0, 500_000, UTC)
    assert run(["pipeline", "ingest", *OF, "--interactions", database]) == 2


def test_a_database_that_does_not_answer_is_an_error_without_its_password(
    database: str, tmp_path: Path
) -> None:
    out = tmp_path / "rows.csv"
    with pytest.raises(InputError) as told:
        download_query("postgresql://me:secret@127.0.0.1:9/shop", QUERY, DAY, DAY, out)
    assert "secret" not in str(told.value)
    assert "127.0.0.1:9/shop" in str(told.value)
    with pytest.raises(InputError, match='relation "nowhere" does not exist'):
        download_query(database, "SELECT * FROM nowhere", DAY, DAY, out)
    with pytest.raises(InputError, match="returns no row for 2026-01-05 to 2026-01-05"):
        download_query(database, QUERY, date(2026, 1, 5), date(2026, 1, 5), out)
    with pytest.raises(InputError, match=r"read-only|syntax"):
        download_query(database, "DELETE FROM clicks RETURNING *", DAY, DAY, out)


def test_objects_are_ingested(s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from recsys.artifacts.object_store import BucketStore

    monkeypatch.chdir(tmp_path)
    row = {
        "v": 1,
        "ts": NOON.isoformat(),
        "tenant": "shop",
        "surface": "home",
        "session_id": "s",
        "item_id": "a",
    }
    store = BucketStore(s3)
    store.create("in/one.jsonl", (json.dumps(row) + "\n").encode())
    store.create("in/two.jsonl", (json.dumps(row | {"item_id": "b"}) + "\n").encode())
    assert run(["pipeline", "ingest", *OF, "--interactions", f"{s3}/in"]) == 0
    assert [one["item_id"] for one in ingested(tmp_path)] == ["a", "b"]
    assert run(["pipeline", "ingest", *OF, "--interactions", f"{s3}/in/one.jsonl"]) == 0
    assert [one["item_id"] for one in ingested(tmp_path)] == ["a"]
    assert run(["pipeline", "ingest", *OF, "--interactions", f"{s3}/absent"]) == 1
    monkeypatch.setenv("AWS_ENDPOINT", "http://127.0.0.1:9")
    assert run(["pipeline", "ingest", *OF, "--interactions", f"{s3}/in"]) == 1
    assert [one["item_id"] for one in ingested(tmp_path)] == ["a"]
