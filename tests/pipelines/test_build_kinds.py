"""The kinds beside popularity and co-visitation end to end: files in, artifacts that rank out."""

import json
import random
from datetime import UTC, datetime
from pathlib import Path

import pytest

from recsys._native import Catalog, Signal
from recsys.artifacts.compare import compare_files
from recsys.cli import main
from recsys.contracts.config import read_config
from recsys.contracts.errors import BuildError
from recsys.contracts.pseudonym import pseudonym
from recsys.pipelines.build.als import AlsOptions, build_als
from recsys.pipelines.build.implicit import ImplicitOptions
from recsys.pipelines.build.request import BuildInput
from recsys.pipelines.build.users import Users
from recsys.pipelines.input.files import find_input_files
from recsys.ranking.snapshot import Snapshot

SALT = b"sixteen bytes or more"


def row(user: str | None, session: str, item: str, minute: int) -> dict[str, object]:
    fields = {
        "v": 1,
        "ts": f"2026-01-01T00:{minute:02}:00Z",
        "tenant": "demo",
        "surface": "home",
        "session_id": session,
        "item_id": item,
    }
    return fields if user is None else fields | {"user_id": user}


ROWS = [
    *(row(f"u{n}", f"s{n}", item, minute) for n in range(4) for minute, item in enumerate("abc")),
    row("u9", "s9", "a", 1),
    row(None, "s10", "d", 2),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    items = [{"item_id": item, "title": f"thing {item}", "tags": ["x"], "brand": "b"} for item in "abcd"]
    (tmp_path / "items.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in ROWS))
    (tmp_path / "salt").write_bytes(SALT)
    run(tmp_path, "catalog", "items.jsonl")
    run(tmp_path, "cooc", "rows.jsonl", "--catalog", "catalog.rsa")
    return tmp_path


def run(folder: Path, kind: str, *words: str) -> None:
    paths = [str(folder / word) if "." in word or word == "salt" else word for word in words]
    assert main.run(["artifact", "build", kind, *paths, "--out", str(folder / f"{kind}.rsa")]) == 0


def test_a_sequence_within_a_user_spans_sessions_and_needs_a_user(folder: Path) -> None:
    visits = [
        row(f"u{n}", f"s{n}-{item}", item, minute) for n in range(3) for minute, item in enumerate("ab")
    ]
    visits += [row(None, f"x{n}", item, minute) for n in range(3) for minute, item in enumerate("cd")]
    (folder / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in visits))
    catalog = Catalog.open(str(folder / "catalog.rsa"))
    for within, of_users, of_nobody in (("session", [], [("d", 1.0)]), ("user", [("b", 1.0)], [])):
        run(folder, "session_seq", "rows.jsonl", "--catalog", "catalog.rsa", "--within", within)
        signal = Signal.open(str(folder / "session_seq.rsa"))
        assert signal.ranked(catalog, "a", 9) == of_users
        assert signal.ranked(catalog, "c", 9) == of_nobody


def test_every_kind_is_built_by_its_command_and_ranks_in_its_mode(folder: Path) -> None:
    run(folder, "session_seq", "rows.jsonl", "--catalog", "catalog.rsa")
    run(folder, "session_knn", "rows.jsonl", "--catalog", "catalog.rsa")
    run(folder, "content_sim", "--catalog", "catalog.rsa")
    run(
        folder,
        "implicit",
        "rows.jsonl",
        "--catalog",
        "catalog.rsa",
        "--cooc",
        "cooc.rsa",
        "--salt-file",
        "salt",
    )
    kinds = ("catalog", "cooc", "session_seq", "session_knn", "content_sim", "implicit")
    artifacts = {kind: folder / f"{kind}.rsa" for kind in kinds}
    snapshot = Snapshot("demo", "home", artifacts, manifest_version="m", config=read_config({}))
    now = datetime(2026, 1, 2, tzinfo=UTC)
    signals = snapshot.signals
    assert set(signals) == set(kinds) - {"catalog"}
    catalog = snapshot.catalog
    assert [item for item, _ in signals["session_seq"].ranked(catalog, "a", 9) or []] == ["b", "c"]
    assert [item for item, _ in signals["content_sim"].ranked(catalog, "a", 9) or []] == ["b", "c", "d"]
    assert [item for item, _ in signals["implicit"].ranked(catalog, pseudonym(SALT, "u9"), 9) or []] == [
        "b",
        "c",
    ]
    assert {item for item, _ in signals["session_knn"].ranked(catalog, "a", 9) or []} == {"b", "c"}
    for mode in ("session_seq", "session_knn", "content_sim", "implicit", "blend"):
        assert snapshot.plan("default", now, mode).missing == (("popularity",) if mode == "blend" else ())


def given(folder: Path, name: str = "rows.jsonl") -> BuildInput:
    return BuildInput(find_input_files([folder / name]))


def test_als_ranks_users_the_same_whatever_the_order_of_rows(folder: Path) -> None:
    catalog = Catalog.open(str(folder / "catalog.rsa"))
    options = ImplicitOptions(users=Users(SALT), top_n=3)
    digests = set()
    for seed in range(3):
        rows = list(ROWS)
        random.Random(seed).shuffle(rows)
        (folder / "shuffled.jsonl").write_text("".join(json.dumps(line) + "\n" for line in rows))
        report = build_als(
            catalog, given(folder, "shuffled.jsonl"), folder / "als.rsa", options, AlsOptions(factors=4)
        )
        digests.add(report.sha256)
        assert (report.kind, report.rows, report.other) == ("implicit", 14, 1)
    assert len(digests) == 1
    signal = Signal.open(str(folder / "als.rsa"))
    ranked = [item for item, _ in signal.ranked(catalog, pseudonym(SALT, "u9"), 9) or []]
    assert "a" not in ranked
    assert set(ranked[:2]) == {"b", "c"}


def test_user_ids_that_should_be_pseudonyms_and_are_not_are_an_error(folder: Path) -> None:
    catalog = Catalog.open(str(folder / "catalog.rsa"))
    options = ImplicitOptions(users=Users(None))
    with pytest.raises(BuildError, match="user_id 'u0' is no pseudonym"):
        build_als(catalog, given(folder), folder / "als.rsa", options, AlsOptions())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "--cooc: item-based scoring needs the co-visitation signal"),
        (["--cooc", "cooc.rsa"], "users: give one of --salt-file, --salt-tenant and --pseudonyms"),
        (["--cooc", "cooc.rsa", "--salt-file", "short"], "a salt has 16 or more"),
    ],
)
def test_what_is_needed_for_users_is_said(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    (folder / "short").write_text("abc")
    paths = [str(folder / word) if word in ("cooc.rsa", "short") else word for word in words]
    command = ["artifact", "build", "implicit", str(folder / "rows.jsonl"), *paths]
    options = ["--catalog", str(folder / "catalog.rsa"), "--out", str(folder / "x.rsa")]
    assert main.run([*command, *options]) == 2
    assert message in capsys.readouterr().err.replace("\n", " ")


def test_a_session_index_is_looked_into_verified_and_compared_and_not_exported(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(folder, "session_knn", "rows.jsonl", "--catalog", "catalog.rsa")
    index, catalog = str(folder / "session_knn.rsa"), str(folder / "catalog.rsa")
    capsys.readouterr()
    assert main.run(["artifact", "inspect", index, "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["sessions"], summary["entries"], summary["sessions_per_item"]) == (4, 12, 2000)
    assert main.run(["artifact", "inspect", index]) == 0
    assert "session_knn: 4 sessions of 4 items, 12 entries" in capsys.readouterr().out
    assert main.run(["artifact", "verify", index]) == 0
    capsys.readouterr()
    assert main.run(["artifact", "neighbors", "a", "--signal", index, "--catalog", catalog, "--json"]) == 0
    assert [entry["item_id"] for entry in json.loads(capsys.readouterr().out)] == ["b", "c"]
    for out in ("x.json", "x.parquet"):
        assert main.run(["artifact", "export", index, "--out", str(folder / out)]) == 2
        assert "a session index is searched and has no lists to export" in _said(capsys)
    words = ["artifact", "pack", str(folder / "x.parquet"), "--out", str(folder / "y.rsa")]
    assert main.run([*words, "--kind", "session_knn"]) == 2
    assert "--kind session_knn: one of popularity" in _said(capsys)
    before = {"catalog": folder / "catalog.rsa", "session_knn": folder / "session_knn.rsa"}
    shorter = [line for line in ROWS if line["item_id"] != "c"]
    (folder / "fewer.jsonl").write_text("".join(json.dumps(line) + "\n" for line in shorter))
    after = {"catalog": folder / "catalog.rsa", "session_knn": folder / "after.rsa"}
    words = ["artifact", "build", "session_knn", str(folder / "fewer.jsonl"), "--catalog", catalog]
    assert main.run([*words, "--out", str(folder / "after.rsa")]) == 0
    change = compare_files(before, after, names=("one", "two")).signals["session_knn"]
    assert (change.keys_before, change.keys_after, change.overlap) == (3, 2, 0.5)
    assert change.lists["a"].leaving == ["c"]


def test_a_damaged_session_index_is_told_as_such(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(folder, "session_knn", "rows.jsonl", "--catalog", "catalog.rsa")
    data = (folder / "session_knn.rsa").read_bytes()
    (folder / "damaged.rsa").write_bytes(data[:-64])
    capsys.readouterr()
    assert main.run(["artifact", "inspect", str(folder / "damaged.rsa")]) == 1
    assert "damaged.rsa: header: the file should have" in _said(capsys)


def _said(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().err.split())
