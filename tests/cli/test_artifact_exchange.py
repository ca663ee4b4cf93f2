import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys._native import Catalog, Signal, build_catalog
from recsys.cli.main import run

POPULARITY = {
    "v": 1,
    "artifact_type": "popularity",
    "tenant": "shop",
    "surface": "home",
    "window": {"start": "2026-01-01T00:00:00Z", "end": "2026-02-01T00:00:00Z"},
    "build": {"built_at": "2026-02-01T03:00:00Z", "version": "7.1"},
    "items": [{"item_id": "a", "count": 3}, {"item_id": "b", "count": 0.25}],
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_import_makes_a_catalog_when_there_is_none_and_export_brings_it_back() -> None:
    Path("in.json").write_text(json.dumps(POPULARITY))
    assert run(["artifact", "import", "in.json", "--out", "made/popularity.rsa", "--json"]) == 0
    assert Catalog.open("made/catalog.rsa").n_items == 2
    assert run(["artifact", "export", "made/popularity.rsa", "--out", "out.json"]) == 0
    assert json.loads(Path("out.json").read_bytes()) == POPULARITY
    assert (
        run(
            [
                "artifact",
                "export",
                "made/catalog.rsa",
                "--out",
                "items.json",
                "--tenant",
                "t",
                "--surface",
                "s",
            ]
        )
        == 0
    )
    assert json.loads(Path("items.json").read_bytes())["items"] == [{"item_id": i, "tags": []} for i in "ab"]


def test_an_import_never_overwrites_what_it_reads(capsys: pytest.CaptureFixture[str]) -> None:
    Path("in.json").write_text(json.dumps(POPULARITY))
    assert run(["artifact", "import", "in.json", "--out", "in.json"]) == 1
    assert json.loads(Path("in.json").read_bytes()) == POPULARITY


def test_a_table_of_scores_is_packed_and_unpacked() -> None:
    build_catalog("catalog.rsa", ["a", "b", "c"])
    table = pa.table(
        {"key": ["b", "a", "a", "zz"], "item_id": ["a", "b", "c", "a"], "score": [1.0, 0.5, 2.5, 1.0]}
    )
    Path("scores").mkdir()
    pq.write_table(table.slice(0, 2), "scores/part-0.parquet")
    pq.write_table(table.slice(2), "scores/part-1.parquet")
    window = ["--start", "2026-01-01T00:00:00", "--end", "2026-01-31T00:00:00"]
    assert run(["artifact", "pack", "scores", "--kind", "cooc", "--out", "cooc.rsa", *window]) == 0
    catalog, signal = Catalog.open("catalog.rsa"), Signal.open("cooc.rsa")
    assert signal.ranked(catalog, "a", 9) == [("c", 2.5), ("b", 0.5)]
    assert json.loads(signal.metadata)["window"]["end"] == "2026-01-31T00:00:00Z"
    assert run(["artifact", "export", "cooc.rsa", "--out", "back.parquet"]) == 0
    expected = [
        {"key": "a", "item_id": "c", "score": 2.5},
        {"key": "a", "item_id": "b", "score": 0.5},
        {"key": "b", "item_id": "a", "score": 1.0},
    ]
    assert pq.read_table("back.parquet").to_pylist() == expected


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ({"key": ["a"], "item_id": ["a"]}, "no column 'score'"),
        ({"key": ["a", "a"], "item_id": ["b", "b"], "score": [1.0, 2.0]}, "more than once"),
        ({"key": ["a"], "item_id": ["b"], "score": [float("nan")]}, "score is not finite"),
        ({"key": ["a"], "item_id": ["zz"], "score": [1.0]}, "no row counts"),
        ({"key": ["a"], "item_id": ["b"], "score": [1.0], "rank": [1]}, "unknown column 'rank'"),
    ],
    ids=range(5),
)
def test_a_table_that_cannot_be_packed_is_refused(
    rows: dict[str, list[object]], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    build_catalog("catalog.rsa", ["a", "b", "c"])
    pq.write_table(pa.table(rows), "scores.parquet")
    assert run(["artifact", "pack", "scores.parquet", "--kind", "cooc", "--out", "cooc.rsa"]) == 1
    assert complaint in capsys.readouterr().err
    assert not Path("cooc.rsa").exists()
    assert run(["artifact", "pack", "scores.parquet", "--kind", "nope", "--out", "cooc.rsa"]) == 2
