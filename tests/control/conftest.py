"""Every test that asks for ``location`` or ``plane`` runs on both stores: a folder, and a real PostgreSQL
server.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import psycopg
import pytest

from recsys.control.locations import StoreLocation
from recsys.control.plane import ControlPlane


class PostgresServer:
    """A server of its own in a temporary folder, reached by a socket there; it never runs as root."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._numbers = count()
        self._programs = max(Path("/usr/lib/postgresql").glob("*/bin"))
        self._user = "postgres" if os.getuid() == 0 else None
        owner = pwd.getpwnam(self._user) if self._user else pwd.getpwuid(os.getuid())
        os.chown(folder, owner.pw_uid, owner.pw_gid)
        self._name = owner.pw_name
        self._run("initdb", "--no-sync", "--auth=trust", "--encoding=UTF8", "-D", "data", check=True)

    def start(self) -> None:
        options = f"-c listen_addresses='' -c unix_socket_directories={self.folder} -c fsync=off"
        self._run("pg_ctl", "-D", "data", "-w", "-l", "log", "-o", options, "start", check=True)

    def stop(self, how: str = "immediate") -> None:
        """End it: ``immediate`` is as a crash, so that what survives was on disk, or in the log of
        changes.
        """
        self._run("pg_ctl", "-D", "data", "-w", "-m", how, "stop")

    def url(self, database: str, **more: str) -> str:
        extra = "".join(f"&{name}={value}" for name, value in more.items())
        return f"postgresql:///{database}?host={self.folder}&user={self._name}{extra}"

    def create_database(self) -> str:
        """Return the URL of a new and empty database."""
        name = f"test_{next(self._numbers)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} STRATEGY wal_log".encode())
        return self.url(name)

    def _run(self, program: str, *arguments: str, check: bool = False) -> None:
        done = subprocess.run(
            [self._programs / program, *arguments],
            cwd=self.folder,
            user=self._user,
            extra_groups=[] if self._user else None,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        assert not check or done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    folder = Path(tempfile.mkdtemp(prefix="recsys-pg-"))
    server = PostgresServer(folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


@pytest.fixture(params=["lmdb", "postgres"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> StoreLocation:
    if request.param == "lmdb":
        return StoreLocation(tmp_path / "control")
    server: PostgresServer = request.getfixturevalue("postgres")
    return StoreLocation(tmp_path / "control", server.create_database())


@pytest.fixture
def plane(location: StoreLocation) -> Iterator[ControlPlane]:
    opened = ControlPlane.open(location)
    opened.create_tenant("demo", actor="test")
    yield opened
    opened.close()
