"""What a process writes to its log."""

import json
from collections.abc import Iterator

import pytest
import structlog

from recsys.observability.logs import configure_logs


@pytest.fixture(autouse=True)
def _restore_defaults() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def test_a_traceback_is_one_json_line_on_stderr_without_values(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs()

    def fail(user_id: str) -> None:
        raise ValueError(f"{len(user_id)} characters")

    try:
        fail("ydobemos"[::-1])  # so that the line of source does not hold it
    except ValueError:
        structlog.get_logger().exception("request failed", path="/v1/recommend")
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    said = json.loads(line)
    assert (said["event"], said["level"], said["path"]) == ("request failed", "error", "/v1/recommend")
    assert "ValueError: 8 characters" in said["exception"]
    assert "somebody" not in line
