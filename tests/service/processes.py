"""The real server as a process, for tests: started, waited for, and stopped."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

RECSYS = [sys.executable, "-c", "from recsys.cli.main import main; main()"]
JSON_HEADERS = {"content-type": "application/json"}


class Server:
    """A running server, and the lines that it announced."""

    def __init__(self, process: subprocess.Popen[str], lines: list[str]) -> None:
        self.process = process
        self.lines = lines
        self.urls = [word for line in lines for word in line.split() if word.startswith("http://")]

    @property
    def url(self) -> str:
        return self.urls[0]

    def connect(self, url: str | None = None) -> http.client.HTTPConnection:
        """Return a new connection; the system gives it to any of the workers."""
        return http.client.HTTPConnection(urlsplit(url or self.url).netloc, timeout=60)

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: dict[str, str] | None = None,
        url: str | None = None,
    ) -> tuple[int, dict]:
        connection = self.connect(url)
        try:
            connection.request(method, path, json.dumps(body), JSON_HEADERS | (headers or {}))
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()


@contextmanager
def serving(data_dir: Path, *options: str, n_lines: int = 3) -> Iterator[Server]:
    """Serve a data folder at a free port until the block ends; ``n_lines`` are announced."""
    arguments = [*RECSYS, "serve", "--port", "0", "--data-dir", str(data_dir), *options]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(n_lines)]
            assert all(lines), lines
            yield Server(process, lines)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
