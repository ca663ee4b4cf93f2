"""``recsys serve`` as a process of its own, on a free port of loopback."""

from __future__ import annotations

import re
import selectors
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import psutil

from recsys.contracts.errors import RecsysError
from recsys.pilot.asking import Answer, ask
from recsys.pilot.commands import COMMAND
from recsys.pilot.metrics_text import MetricsText

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 20.0
_URL = re.compile(r"http://127\.0\.0\.1:\d+")


class ServiceProcess:
    """A running service; a ``with`` block stops it."""

    def __init__(self, data_dir: Path, options: Sequence[str] = ()) -> None:
        """Start it and wait until it says where it listens; raises :class:`RecsysError` with what it said."""
        self.data_dir = data_dir
        self._log = (data_dir / "serve.log").open("ab")
        command = [*COMMAND, "serve", "--port", "0", "--data-dir", str(data_dir), *options]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self._log)
        self.url = self._read_url()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop it gracefully, and by force if it does not."""
        if self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._log.close()

    def workers(self) -> list[psutil.Process]:
        """Return its processes, itself among them."""
        parent = psutil.Process(self._process.pid)
        return [parent, *parent.children(recursive=True)]

    def get(self, path: str) -> Answer:
        """Return the answer of a route."""
        return ask(self.url + path)

    def post(self, path: str, body: object, **headers: str) -> Answer:
        """Return the answer to a body."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return ask(self.url + path, body, headers=named)

    def metric(self, name: str, **labels: str) -> float:
        """Return the sum of the samples of a series that have these labels; 0 without any."""
        return MetricsText(self.get("/metrics").body.decode()).total(name, **labels)

    def _read_url(self) -> str:
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        end = time.monotonic() + START_TIMEOUT_S
        line = _first_line(self._process.stdout, end)
        found = _URL.search(line)
        if found is None:
            self.stop()
            said = (self.data_dir / "serve.log").read_text(errors="replace")[-500:]
            raise RecsysError(f"the service did not start: {line or said or 'it said nothing'}")
        return found[0]


def _first_line(stream: IO[bytes], end: float) -> str:
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        if not selector.select(max(0.0, end - time.monotonic())):
            return ""
    return stream.readline().decode(errors="replace")
