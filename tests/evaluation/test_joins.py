from __future__ import annotations

import gzip
import json
import random
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsys.contracts.errors import EvaluationError
from recsys.evaluation.joins import join_logs

USER = "a" * 64
Record = dict[str, object]


def exposure(request: str, items: list[str], ts: str = "2026-01-01T00:00:00Z", **more: object) -> Record:
    listed = [{"item_id": item, "rank": rank} for rank, item in enumerate(items, 1)]
    return {"request_id": request, "user_id": USER, "ts": ts, "items": listed, **more}


def outcome(request: str, item: str, ts: str = "2026-01-01T01:00:00Z", **more: object) -> Record:
    record: Record = {
        "request_id": request,
        "user_id": USER,
        "item_id": item,
        "event_type": "click",
        "ts": ts,
    }
    return record | more


def write(path: Path, records: list[Record]) -> str:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return str(path)


def test_outcome_is_credited_by_request_and_item_within_the_window(tmp_path: Path) -> None:
    exposures = write(tmp_path / "e.jsonl", [exposure("r1", ["a", "b"]), exposure("r2", [])])
    outcomes = write(
        tmp_path / "o.jsonl",
        [
            outcome("r1", "a"),
            outcome("r1", "b", "2026-01-02T00:00:00Z", event_type="conversion", value=2.5),
            outcome("r1", "b", "2026-01-02T00:00:00.000001Z"),
            outcome("r1", "a", "2025-12-31T23:59:59Z"),
            outcome("r1", "z"),
        ],
    )
    joined = join_logs([exposures], [outcomes])
    rows = joined.items.select(["item_id", "rank", "clicks", "conversions", "value"]).to_pylist()
    assert rows == [
        {"item_id": "a", "rank": 1, "clicks": 1, "conversions": 0, "value": 0.0},
        {"item_id": "b", "rank": 2, "clicks": 0, "conversions": 1, "value": 2.5},
    ]
    assert joined.requests["n_items"].to_pylist() == [2, 0]
    assert joined.counts.outcomes_matched == 4
    assert joined.counts.outcomes_before_exposure == 1
    assert joined.counts.join_rate == pytest.approx(0.8)
    assert joined.counts.engagement_rate == pytest.approx(0.5)


def test_duplicate_upload_changes_no_number_and_is_counted(tmp_path: Path) -> None:
    served = [exposure(f"r{n}", ["a"], context={"surface": "home", "segment": "x"}) for n in range(20)]
    clicks = [outcome("r3", "a"), outcome("r4", "a")]
    once = join_logs([write(tmp_path / "e.jsonl", served)], [write(tmp_path / "o.jsonl", clicks)])
    twice = join_logs(
        [write(tmp_path / "e2.jsonl", [*served, served[0]])],
        [write(tmp_path / "o2.jsonl", [*clicks, clicks[0]])],
    )
    assert once.items.equals(twice.items)
    assert once.requests.equals(twice.requests)
    assert (twice.counts.exposure_duplicates, twice.counts.outcome_duplicates) == (1, 1)


def test_item_listed_twice_is_credited_once(tmp_path: Path) -> None:
    joined = join_logs(
        [write(tmp_path / "e.jsonl", [exposure("r", ["a", "a"])])],
        [write(tmp_path / "o.jsonl", [outcome("r", "a")])],
    )
    assert joined.items["clicks"].to_pylist() == [1, 0]


def test_parquet_and_gzip_give_the_same_as_json_lines(tmp_path: Path) -> None:
    served = [exposure(f"r{n}", ["a", "b"], context={"surface": "home"}, latency_ms=1.5) for n in range(5)]
    plain = write(tmp_path / "e.jsonl", served)
    packed = tmp_path / "e.jsonl.gz"
    packed.write_bytes(gzip.compress(Path(plain).read_bytes()))
    columnar = tmp_path / "e.parquet"
    pq.write_table(pa.Table.from_pylist(served), columnar)
    outcomes = write(tmp_path / "o.jsonl", [outcome("r1", "b")])
    expected = join_logs([plain], [outcomes])
    for other in (packed, columnar):
        joined = join_logs([str(other)], [outcomes])
        assert joined.items.equals(expected.items)
        assert joined.requests.equals(expected.requests)


def test_arm_comes_from_the_assignment_before_the_context(tmp_path: Path) -> None:
    context = {"experiment_id": "x", "experiment_variant": "from-context"}
    exposures = write(tmp_path / "e.jsonl", [exposure(r, ["a"], context=context) for r in ("r1", "r2")])
    given_arm = {
        "experiment_id": "x",
        "variant": "B",
        "request_id": "r1",
        "user_id": USER,
        "ts": "2026-01-01T00:00:00Z",
    }
    assignments = write(tmp_path / "a.jsonl", [given_arm])
    joined = join_logs([exposures], [write(tmp_path / "o.jsonl", [outcome("r1", "a")])], [assignments])
    assert joined.requests["variant"].to_pylist() == ["B", "from-context"]


def test_truncated_line_and_missing_field_are_errors_that_name_the_log(tmp_path: Path) -> None:
    outcomes = write(tmp_path / "o.jsonl", [outcome("r", "a")])
    torn = tmp_path / "torn.jsonl"
    torn.write_text(json.dumps(exposure("r", ["a"])) + '\n{"request_id": "r2", "us')
    with pytest.raises(EvaluationError, match=r"torn\.jsonl"):
        join_logs([str(torn)], [outcomes])
    lacking = write(tmp_path / "e.jsonl", [{"request_id": "r", "ts": "2026-01-01T00:00:00Z", "items": []}])
    with pytest.raises(EvaluationError, match="user_id"):
        join_logs([lacking], [outcomes])


def test_value_that_is_not_a_number_is_an_error(tmp_path: Path) -> None:
    exposures = write(tmp_path / "e.jsonl", [exposure("r", ["a"])])
    with pytest.raises(EvaluationError, match=r"value|NaN"):
        join_logs([exposures], [write(tmp_path / "o.jsonl", [outcome("r", "a", value=float("nan"))])])


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10_000), parts=st.integers(1, 3), threads=st.integers(1, 2))
def test_order_parts_and_threads_do_not_change_the_result(
    tmp_path: Path, seed: int, parts: int, threads: int
) -> None:
    draw = random.Random(7)
    served = [exposure(f"r{draw.randrange(15)}", draw.sample("abcdef", 3), latency_ms=n) for n in range(20)]
    clicks = [
        outcome(f"r{draw.randrange(15)}", draw.choice("abcdef"), value=draw.random()) for _ in range(40)
    ]
    expected = join_logs([write(tmp_path / "e.jsonl", served)], [write(tmp_path / "o.jsonl", clicks)])
    shuffle = random.Random(seed)
    shuffle.shuffle(served)
    shuffle.shuffle(clicks)
    files = [write(tmp_path / f"p{part}.jsonl", served[part::parts]) for part in range(parts)]
    joined = join_logs(
        files, [write(tmp_path / "o2.jsonl", clicks)], window=timedelta(hours=24), threads=threads
    )
    assert joined.items.equals(expected.items)
    assert joined.requests.equals(expected.requests)
    assert joined.counts == expected.counts


def test_a_retry_is_no_conflict_and_the_first_counts(tmp_path: Path) -> None:
    first = exposure("r", ["a", "b"], "2026-01-01T00:00:00Z", latency_ms=900.0, context={"surface": "home"})
    retry = first | {"ts": "2026-01-01T00:00:02Z", "latency_ms": 3.0}
    twice = first | {"ts": "2026-01-01T00:00:04Z"}
    others: list[Record] = [
        retry | {"context": {"surface": "other"}},
        retry | {"items": [{"item_id": "b", "rank": 1}, {"item_id": "a", "rank": 2}]},
        retry | {"items": []},
        retry | {"error": True},
        retry | {"user_id": "b" * 64},
    ]
    clicks = write(tmp_path / "o.jsonl", [outcome("r", "a")])

    def join(records: list[Record]) -> tuple[int, int, int]:
        joined = join_logs([write(tmp_path / "e.jsonl", records)], [clicks])
        assert joined.requests["ts"].to_pylist()[0].second == 0
        assert joined.requests["latency_ms"].to_pylist() == [900.0]
        counts = joined.counts
        return counts.exposure_duplicates, counts.exposure_retries, counts.exposure_conflicts

    assert join([twice, retry, first]) == (0, 2, 0)
    assert join([retry, first, retry]) == (1, 1, 0)
    for other in others:
        assert join([other, first]) == (0, 0, 1)
        assert join([other, first, retry, other]) == (1, 1, 1)
