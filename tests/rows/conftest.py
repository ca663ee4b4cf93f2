from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from recsys.artifacts.registry import Registry, open_registry
from recsys.control.plane import ControlPlane


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[ControlPlane]:
    opened = ControlPlane.open(tmp_path / "control")
    opened.create_tenant("shop", actor="test")
    yield opened
    opened.close()


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return open_registry(tmp_path / "registry")
