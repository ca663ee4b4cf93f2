"""Ctrl-C while a builder writes: it ends, and nothing of it stays."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from recsys import _native

N_ITEMS = 2_000
N_SESSIONS = 30_000
SESSION_ITEMS = 200
"""Enough pairs of items for a second and more."""


@pytest.fixture
def heard() -> Iterator[None]:
    """Interrupts are heard: whoever starts the tests in the background may have them ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heard")
def test_an_interrupt_ends_a_builder_that_writes(tmp_path: Path) -> None:
    _native.build_catalog(str(tmp_path / "catalog.rsa"), [f"item-{n}" for n in range(N_ITEMS)])
    catalog = _native.Catalog.open(str(tmp_path / "catalog.rsa"))
    folder = tmp_path / "built"
    folder.mkdir()
    builder = _native.CoocBuilder(catalog, memory_bytes=1 << 28, scratch_dir=str(tmp_path), threads=1)
    sessions = np.repeat(np.arange(N_SESSIONS, dtype="<u8"), SESSION_ITEMS)
    items = (np.arange(len(sessions)) * 7 % N_ITEMS).astype("<u4")
    times, weights = np.zeros(len(sessions), dtype="<i8"), np.ones(len(sessions), dtype="<f4")
    builder.push(sessions.data, items.data, times.data, weights.data)
    is_over = threading.Event()

    def interrupt_once_it_writes() -> None:
        while not any(folder.iterdir()) and not is_over.wait(0.001):
            pass
        os.kill(os.getpid(), signal.SIGINT)

    interrupting = threading.Thread(target=interrupt_once_it_writes)
    interrupting.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            builder.finish(str(folder / "cooc.rsa"))
    finally:
        is_over.set()
        interrupting.join()
    assert list(folder.iterdir()) == []
