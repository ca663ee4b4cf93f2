"""What an evaluation prints is its answer alone."""

from pathlib import Path

import pytest

from recsys.evaluation.database import open_database


@pytest.mark.parametrize("name", [None, "file.duckdb"])
def test_a_query_that_takes_long_draws_no_progress_on_stdout(
    name: str | None, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with open_database(None if name is None else tmp_path / name) as database:
        database.execute("SET progress_bar_time = 1")  # milliseconds: what takes longer takes long
        database.execute("SELECT sum(hash(range) % 7) FROM range(20000000)").fetchall()
    assert capfd.readouterr() == ("", "")
