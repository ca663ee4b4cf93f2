from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from recsys.control.plane import ControlPlane


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[ControlPlane]:
    opened = ControlPlane.open(tmp_path / "control")
    opened.create_tenant("demo", actor="test")
    yield opened
    opened.close()
