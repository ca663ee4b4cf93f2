"""The Python of the integration guide runs against a real service, and does what the guide says."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.service.conftest import write_tenant
from tests.service.processes import serving

from recsys.contracts.events import EventsResponse
from recsys.contracts.pseudonym import pseudonym
from recsys.control.plane import ControlPlane
from recsys.eventlog.layout import live_parts

PAGE = Path(__file__).parents[2] / "docs" / "integration.md"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def read_log(folder: Path, kind: str) -> list[dict]:
    parts = live_parts(folder / "logs" / kind)
    return [json.loads(line) for _, part in parts for line in part.read_text().splitlines()]


@pytest.mark.slow
def test_a_list_is_asked_for_its_click_told_and_a_page_speaks_for_nobody_else(tmp_path: Path) -> None:
    write_tenant(tmp_path)
    plane = ControlPlane.open(tmp_path / "control")
    salt = plane.tenant("demo").salt
    plane.close()
    names: dict = {}
    with serving(tmp_path, "--dev") as server:
        for block in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
            # A machine that runs tests may be slower than the guide's page can wait.
            code = block.replace("http://127.0.0.1:8000", server.url).replace("timeout_s=0.2", "timeout_s=20")
            exec(code, names)
        body = {
            "outcomes": [
                {
                    "request_id": "r",
                    "user_id": "somebody else",
                    "item_id": "i00",
                    "event_type": "click",
                    "ts": datetime.now(UTC).isoformat(),
                }
            ]
        }
        answer = names["take_events"](json.dumps(body).encode(), "u-8")
        names["service"].close()
    assert answer == EventsResponse(1, 0, [])
    (exposure,) = read_log(tmp_path, "exposures")
    clicked, taken = read_log(tmp_path, "outcomes")
    assert clicked["request_id"] == exposure["request_id"]
    assert clicked["item_id"] == exposure["items"][0]["item_id"]
    assert clicked["user_id"] == exposure["user_id"] == pseudonym(salt, "u-7")
    assert taken["user_id"] == pseudonym(salt, "u-8")
