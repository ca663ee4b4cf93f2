"""Every kind from raw interactions to answers of the service, in its own mode."""

import hashlib
import json
from pathlib import Path

import pytest
from tests.pipelines.test_pipeline import write_rows
from tests.service.conftest import Client

from recsys.cli.main import run
from recsys.contracts.errors import UsageError
from recsys.contracts.pseudonym import pseudonym
from recsys.control.plane import ControlPlane
from recsys.pipelines.build.users import Users
from recsys.pipelines.kinds import KINDS, Engine, build_order, kind_of
from recsys.service.auth import DevelopmentAuthenticator

OF = ["--tenant", "shop", "--surface", "home"]
DAYS = ["--from", "2026-01-01", "--to", "2026-01-01"]
ITEMS = "abcdefgh"


def row(user: str, session: str, item: str, minute: int) -> dict[str, object]:
    return {
        "v": 1,
        "ts": f"2026-01-01T00:{minute:02}:00Z",
        "tenant": "shop",
        "surface": "home",
        "session_id": session,
        "item_id": item,
        "user_id": user,
    }


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Sessions a, b, c of five users and one user who has taken a alone; e, f are alike by content."""
    monkeypatch.chdir(tmp_path)
    rows = [row(f"u{n}", f"s{n}", item, minute) for n in range(5) for minute, item in enumerate("abc")]
    write_rows(tmp_path / "rows.jsonl", [*rows, row("lone", "s9", "a", 9)])
    tags = {"e": ["warm"], "f": ["warm"]}
    write_rows(
        tmp_path / "items.jsonl", [{"item_id": item, "tags": tags.get(item, [item])} for item in ITEMS]
    )
    settings = {"kinds": list(KINDS), "gates": {"max_unknown_items": None}}
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    assert run(["tenant", "create", "shop"]) == 0
    return tmp_path


def pipeline(*words: str) -> int:
    return run(["pipeline", *words, *OF, "--settings", "settings.json"])


def run_all() -> int:
    return pipeline("run", *DAYS, "--interactions", "rows.jsonl", "--catalog", "items.jsonl")


def first_of(mode: str, **fields: object) -> tuple[str, list[str]]:
    """Return the first item of a list in a mode of the served release, and its reasons."""
    plane = ControlPlane.open(Path("data") / "control")
    document = json.dumps({"defaults": {"mode": mode}}).encode()
    plane.put("shop", "config", document, author="test")
    plane.close()
    client = Client(Path("data"), DevelopmentAuthenticator("shop"))
    try:
        answer = client.recommend(options={"include_reasons": True}, **fields)
        assert answer.status == 200
        first = answer.json()["items"][0]
        return first["item_id"], first["reasons"]
    finally:
        client.close()


def test_every_kind_is_served_in_its_mode(shop: Path) -> None:
    assert run_all() == 0
    anchored = {"anchors": {"item_ids": ["b"]}}
    assert first_of("session_seq", **anchored) == ("c", ["session_seq"])
    assert first_of("content_sim", anchors={"item_ids": ["e"]}) == ("f", ["content_sim"])
    assert first_of("implicit", user={"user_id": "lone"})[1] == ["implicit"]
    assert first_of("session_knn", **anchored) == ("a", ["session_knn"])
    item, reasons = first_of("blend", user={"user_id": "lone"}, **anchored)
    assert item == "c"
    assert {"popularity", "cooc", "implicit", "session_seq"} <= set(reasons)


def test_users_follow_the_salt_and_neighbours_their_artifact(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_all() == 0
    capsys.readouterr()
    assert pipeline("build", "implicit", *DAYS, "--json") == 0
    assert not json.loads(capsys.readouterr().out)["is_new"]
    settings = json.loads((shop / "settings.json").read_text())
    (shop / "settings.json").write_text(json.dumps(settings | {"cooc": {"top_n": 1}}))
    assert pipeline("build", "cooc", *DAYS) == 0
    capsys.readouterr()
    assert pipeline("build", "implicit", *DAYS, "--json") == 0
    assert json.loads(capsys.readouterr().out)["is_new"]


def test_raw_users_without_a_salt_are_an_error(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["run", *DAYS, "--interactions", "rows.jsonl", "--catalog", "items.jsonl"]
    assert pipeline(*words, "--data-dir", "elsewhere") == 1
    assert "the tenant's salt is needed" in " ".join(capsys.readouterr().err.split())


def test_a_kind_says_what_it_needs(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert pipeline("ingest", *DAYS, "--interactions", "rows.jsonl") == 2  # it has no --settings
    assert run(["pipeline", "ingest", *OF, *DAYS, "--interactions", "rows.jsonl"]) == 0
    assert pipeline("build", "implicit", *DAYS, "--catalog", "items.jsonl") == 1
    assert "implicit needs cooc, which is not built yet" in " ".join(capsys.readouterr().err.split())


def test_needs_come_first_and_once() -> None:
    assert build_order(["implicit", "popularity", "cooc"]) == ["cooc", "implicit", "popularity"]
    assert build_order(["what", "implicit"]) == ["what", "cooc", "implicit"]


def test_pseudonyms_are_kept_when_they_may_be_among_raw_ids() -> None:
    salt = b"sixteen bytes or more"
    known = hashlib.sha256(b"x").hexdigest()
    assert Users(salt, keeps_pseudonyms=True)._bytes_of([known, "raw"]) == [
        bytes.fromhex(known),
        bytes.fromhex(pseudonym(salt, "raw")),
    ]
    assert Users(salt)._bytes_of([known]) == [bytes.fromhex(pseudonym(salt, known))]


@pytest.mark.parametrize(
    ("kind", "trouble"),
    [("content_sim", "some does not build this kind"), ("coc", "there is no such kind")],
)
def test_a_kind_of_another_engine_is_told_from_one_that_there_is_not(kind: str, trouble: str) -> None:
    engine = Engine("some", {"popularity": KINDS["popularity"]})
    with pytest.raises(UsageError, match=f"^{kind}: {trouble}; some builds catalog, popularity$"):
        kind_of(engine, kind)
