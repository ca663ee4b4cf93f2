"""Builds end to end: files in, an artifact and a report out, whatever the order of the rows."""

import json
import random
from pathlib import Path

import pytest

from recsys._native import Catalog, Signal
from recsys.contracts.errors import BuildError, UsageError
from recsys.pipelines.build.catalog import build_catalog
from recsys.pipelines.build.cooc import CoocOptions, build_cooc
from recsys.pipelines.build.interactions import Selection, parse_event_weights
from recsys.pipelines.build.popularity import PopularityOptions, build_popularity
from recsys.pipelines.build.request import BuildInput, parse_duration, parse_size
from recsys.pipelines.input.errors import TooManyBadRowsError
from recsys.pipelines.input.files import find_input_files
from recsys.pipelines.input.mapping import ColumnMapping
from recsys.pipelines.input.quarantine import BadRowLimit

DAY_MS = 86_400_000


def write(path: Path, rows: list[dict[str, object]]) -> BuildInput:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return BuildInput(find_input_files([path]), quarantine=path.with_suffix(".bad"))


def row(session: str, item: str, day: int = 1, **more: object) -> dict[str, object]:
    return {
        "v": 1,
        "ts": f"2026-01-{day:02}T00:00:00Z",
        "tenant": "demo",
        "surface": "home",
        "session_id": session,
        "item_id": item,
    } | more


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    out = tmp_path / "catalog.rsa"
    build_catalog(
        write(tmp_path / "items.jsonl", [{"item_id": item, "title": item.upper()} for item in "abcd"]), out
    )
    return Catalog.open(str(out))


def lists(out: Path, catalog: Catalog, key: str) -> dict[str, float]:
    return dict(Signal.open(str(out)).ranked(catalog, key, 10) or [])


def test_catalog_keeps_every_attribute(tmp_path: Path) -> None:
    item = {
        "item_id": "a",
        "title": "Milk",
        "tags": ["dairy", "cold"],
        "brand": "b",
        "category": "c",
        "price": 1.5,
        "created_at": "2026-01-01T00:00:00Z",
        "valid_until": "2026-02-01T00:00:00Z",
        "available": False,
    }
    out = tmp_path / "catalog.rsa"
    report = build_catalog(write(tmp_path / "items.jsonl", [item]), out)
    found = Catalog.open(str(out)).item("a")
    assert (report.rows, report.bytes) == (1, out.stat().st_size)
    assert found is not None
    assert (found.title, sorted(found.tags), found.brand, found.category) == (
        "Milk",
        ["cold", "dairy"],
        "b",
        "c",
    )
    assert (found.price, found.available) == (1.5, False)
    assert (found.created_at_ms, found.valid_until_ms) == (1767225600000, 1767225600000 + 31 * DAY_MS)


def test_item_given_twice_is_named(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="'a' comes 2 times"):
        build_catalog(write(tmp_path / "items.jsonl", [{"item_id": "a"}] * 2), tmp_path / "catalog.rsa")


def test_empty_catalog_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="no items"):
        build_catalog(write(tmp_path / "items.jsonl", []), tmp_path / "catalog.rsa")


def test_popularity_halves_with_age_and_counts_segments_apart(tmp_path: Path, catalog: Catalog) -> None:
    rows = [row("s", "a", 1, segment="x"), row("s", "b", 8), row("s", "b", 8, segment="x")]
    given = write(tmp_path / "rows.jsonl", rows)
    given = BuildInput(given.files, ColumnMapping())
    out = tmp_path / "popularity.rsa"
    report = build_popularity(catalog, given, out, PopularityOptions(half_life_ms=7 * DAY_MS))
    assert lists(out, catalog, "default") == pytest.approx({"b": 2.0, "a": 0.5})
    assert lists(out, catalog, "x") == pytest.approx({"b": 1.0, "a": 0.5})
    assert report.window is not None
    assert (report.window.start.day, report.window.end.day) == (1, 8)


def test_event_types_weigh_and_zero_leaves_out(tmp_path: Path, catalog: Catalog) -> None:
    rows = [row("s", "a", event_type="buy"), row("s", "b", event_type="view"), row("s", "c")]
    out = tmp_path / "popularity.rsa"
    selection = Selection(event_weights=parse_event_weights(["buy=5", "view=0", "*=2"]))
    report = build_popularity(
        catalog, write(tmp_path / "rows.jsonl", rows), out, PopularityOptions(selection=selection)
    )
    assert lists(out, catalog, "default") == pytest.approx({"a": 5.0, "c": 2.0})
    assert report.other == 1


def test_cooc_counts_sessions_and_reports_what_it_left_out(tmp_path: Path, catalog: Catalog) -> None:
    rows = [row(session, item) for session in ("s1", "s2") for item in "ab"]
    rows += [row("s2", "c"), row("s3", "unknown"), row("s3", "a", v=2)]
    given = write(tmp_path / "rows.jsonl", rows)
    out = tmp_path / "cooc.rsa"
    given = BuildInput(given.files, limit=BadRowLimit(share=None, count=1), quarantine=given.quarantine)
    options = CoocOptions(normalization="count", min_support=1)
    report = build_cooc(catalog, given, out, options)
    assert lists(out, catalog, "a") == {"b": 2.0, "c": 1.0}
    assert (report.rows, report.bad, report.unknown_items, report.heavy_sessions) == (7, 1, 1, 0)
    assert report.quarantine is not None
    assert Path(report.quarantine).exists()


def test_order_of_rows_does_not_change_a_byte(tmp_path: Path, catalog: Catalog) -> None:
    choice = random.Random(7)
    rows = [
        row(f"s{choice.randrange(60)}", choice.choice("abcd"), choice.randrange(1, 28)) for _ in range(600)
    ]
    digests = set()
    for _ in range(3):
        choice.shuffle(rows)
        given = write(tmp_path / "rows.jsonl", rows)
        cooc = build_cooc(catalog, given, tmp_path / "cooc.rsa", CoocOptions())
        popularity = build_popularity(
            catalog, given, tmp_path / "popularity.rsa", PopularityOptions(half_life_ms=DAY_MS)
        )
        digests.add((cooc.sha256, popularity.sha256))
    assert len(digests) == 1


def test_rows_of_two_tenants_need_a_choice(tmp_path: Path, catalog: Catalog) -> None:
    given = write(tmp_path / "rows.jsonl", [row("s", "a"), row("s", "b", tenant="other")])
    out = tmp_path / "popularity.rsa"
    with pytest.raises(BuildError, match=r"two tenants \('demo', 'other'\): choose one with --tenant"):
        build_popularity(catalog, given, out, PopularityOptions())
    build_popularity(catalog, given, out, PopularityOptions(selection=Selection(tenant="other")))
    assert lists(out, catalog, "default") == {"b": 1.0}


def test_failed_build_leaves_no_file(tmp_path: Path, catalog: Catalog) -> None:
    out = tmp_path / "out" / "popularity.rsa"
    with pytest.raises(TooManyBadRowsError):
        build_popularity(catalog, write(tmp_path / "a.jsonl", [row("s", "")]), out, PopularityOptions())
    with pytest.raises(BuildError, match="no interaction counts"):
        build_popularity(
            catalog, write(tmp_path / "b.jsonl", [row("s", "unknown")]), out, PopularityOptions()
        )
    assert list(out.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "value"), [("512M", 512 << 20), ("1.5G", 3 << 29), ("100", 100), ("2 KiB", 2048)]
)
def test_sizes_are_read(text: str, value: int) -> None:
    assert parse_size(text) == value


@pytest.mark.parametrize(("text", "value"), [("90s", 90_000), ("28d", 28 * DAY_MS), ("0.5h", 1_800_000)])
def test_durations_are_read(text: str, value: float) -> None:
    assert parse_duration(text) == value


@pytest.mark.parametrize("text", ["", "5", "5y", "-1d", "0d"])
def test_duration_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a duration"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["click", "=1", "click=many"])
def test_event_weight_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="give it as TYPE=WEIGHT"):
        parse_event_weights([text])


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_event_weight_is_finite_and_not_negative(weight: float) -> None:
    with pytest.raises(BuildError, match="finite number from 0 up"):
        Selection(event_weights={"click": weight})
