"""A Prometheus server for tests, Debian's, on a free port of loopback."""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import create_server

import yaml

from recsys.pilot.asking import ask


@contextmanager
def prometheus(folder: Path, config: dict[str, object]) -> Iterator[str]:
    """Run one with this configuration in ``folder``; yields its URL."""
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    with create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = ["prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=tsdb"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, f"--web.listen-address={address}"], cwd=folder, stdout=log, stderr=log
        )
    try:
        url = f"http://{address}"
        wait_until(lambda: ask(f"{url}/-/ready").status == 200)
        yield url
    finally:
        process.terminate()
        process.wait(20)


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until it holds; fails after a time in which it always should."""
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
