"""What must not be released is not, by whichever command, and nothing is released unnoticed."""

import threading
from pathlib import Path

import pytest
from tests.pipelines.test_pipeline import DAYS, ITEMS, OF, RUN, current, settings, shop_rows, write_rows

from recsys.cli.main import run
from recsys.pipelines.workspace import Workspace


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with interactions and items; it is the current one."""
    monkeypatch.chdir(tmp_path)
    write_rows(tmp_path / "interactions.jsonl", shop_rows())
    write_rows(tmp_path / "items.jsonl", [{"item_id": item} for item in ITEMS])
    return tmp_path


def test_a_gate_stops_the_stage_publish_too(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = settings(min_rows=301)
    assert run(["pipeline", "ingest", *OF, *DAYS, "--interactions", "interactions.jsonl"]) == 0
    assert run(["pipeline", "build", "popularity", *OF, *DAYS, *common, "--catalog", "items.jsonl"]) == 0
    publish = ["pipeline", "publish", *OF, *common, "--kinds", "popularity"]
    assert run(publish) == 1
    assert "min_rows: 300, limit 301" in capsys.readouterr().err
    assert current() is None
    assert run([*publish, "--force"]) == 0
    assert run(["audit", "list", "--tenant", "shop"]) == 0
    assert run(publish) == 1  # also when the release is current already
    assert current() is not None


def test_what_the_audit_trail_cannot_take_is_not_published(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*RUN, *settings()]) == 0
    first = current()
    (shop / "data" / "control").rename(shop / "control")
    (shop / "data" / "control").write_text("a file where the folder should be")
    write_rows(shop / "interactions.jsonl", shop_rows(per_day=31))
    assert run([*RUN, *settings()]) == 1
    assert "the control store cannot be opened" in capsys.readouterr().err
    assert current() == first
    (shop / "data" / "control").unlink()
    (shop / "control").rename(shop / "data" / "control")
    assert run([*RUN, *settings()]) == 0
    (shop / "data" / "control").rename(shop / "control")
    (shop / "data" / "control").write_text("a file where the folder should be")
    second = current()
    assert second != first
    assert run(["manifest", "rollback", *OF]) == 1
    assert current() == second


@pytest.mark.parametrize("stage", ["build", "run"])
def test_a_command_waits_for_the_run_that_holds_the_workspace(shop: Path, stage: str) -> None:
    common = settings()
    assert run([*RUN, *common]) == 0
    words = {
        "build": ["pipeline", "build", "cooc", *OF, *DAYS, *common],
        "run": [*RUN, *common],
    }[stage]
    codes: list[int] = []
    command = threading.Thread(target=lambda: codes.append(run(words)))
    with Workspace(shop / "data", "shop", "home").running():
        command.start()
        command.join(2.0)
        assert not codes
    command.join(60)
    assert codes == [0]
