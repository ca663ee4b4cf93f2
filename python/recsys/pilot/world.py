"""What the pilot run acts on: its data folder, its evidence, its service, and the retail data."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec

from recsys.artifacts.registry import Registry, open_registry
from recsys.client.http_client import Client
from recsys.contracts.errors import RecsysError
from recsys.contracts.http import ListResponse
from recsys.contracts.pseudonym import pseudonym
from recsys.control.plane import ControlPlane
from recsys.demo.prepare import DemoFiles
from recsys.demo.retail import SURFACE, TENANT, RetailData, load_retail_data
from recsys.pilot.commands import run_command
from recsys.pilot.journal import StepRecord
from recsys.pilot.service_process import ServiceProcess

LAST_TRAINING_WEEK = 48
BASELINE_WEEK = 49
EXPERIMENT_WEEKS = range(50, 53)
WAIT_S = 30.0
VersionName = Literal["config_version", "rules_version", "manifest_version"]


class PilotError(RecsysError):
    """A step of the pilot run that did not go as it should."""


class World:
    """One pilot run. ``scale`` bounds the baskets that are replayed in each part."""

    def __init__(self, folder: Path, scale: int) -> None:
        self.folder = folder
        self.data_dir = folder / "data"
        self.evidence = folder / "evidence"
        self.files = DemoFiles(self.data_dir)
        self.scale = scale
        self._data: RetailData | None = None
        self._service: ServiceProcess | None = None
        for path in (self.data_dir, self.evidence):
            path.mkdir(parents=True, exist_ok=True)

    @property
    def data(self) -> RetailData:
        """The retail data, read once."""
        if self._data is None:
            self._data = load_retail_data()
        return self._data

    @property
    def service(self) -> ServiceProcess:
        """The running service; raises when it was not started."""
        if self._service is None:
            raise RecsysError("the service is not running")
        return self._service

    def start(self) -> None:
        """Start the service."""
        self._service = ServiceProcess(self.data_dir, ["--dev"])

    def stop(self) -> None:
        """Stop the service, if it runs."""
        if self._service is not None:
            self._service.stop()
            self._service = None

    def client(self) -> Client:
        """Return a client of the service."""
        return Client(self.service.url, tenant=TENANT, timeout_s=10.0)

    def command(self, record: StepRecord, *arguments: str, codes: Sequence[int] = (0,)) -> str:
        """Run a ``recsys`` command on the data folder, note it in the step, and return what it prints."""
        shown = " ".join(argument.replace(f"{self.folder}/", "") for argument in arguments)
        record.commands.append(f"recsys {shown}")
        return run_command(*arguments, codes=codes)

    def tenant(self) -> list[str]:
        """Return the options that name the tenant and the data folder."""
        return ["--tenant", TENANT, "--data-dir", str(self.data_dir)]

    def surface(self) -> list[str]:
        """Return the options that name the surface, too."""
        return ["--tenant", TENANT, "--surface", SURFACE, "--data-dir", str(self.data_dir)]

    def logs(self) -> list[str]:
        """Return the options that name the logs."""
        logs = self.data_dir / "logs"
        return ["--exposures", str(logs / "exposures"), "--outcomes", str(logs / "outcomes")]

    def registry(self) -> Registry:
        """Return the registry of the data folder."""
        return open_registry(self.data_dir / "registry")

    @contextmanager
    def pseudonyms(self) -> Iterator[Callable[[str], str]]:
        """Yield what turns a household into its pseudonym."""
        plane = ControlPlane.open(self.data_dir / "control")
        try:
            salt = plane.tenant(TENANT).salt
        finally:
            plane.close()
        yield lambda user_id: pseudonym(salt, user_id)

    def ask(self, user: str = "pilot") -> ListResponse | None:
        """Return one list, ``None`` when there is none."""
        body = {"surface": SURFACE, "segment": "default", "k": 20, "user": {"user_id": user}}
        answer = self.service.post("/v1/recommend", body, x_org_id=TENANT)
        return msgspec.json.decode(answer.body, type=ListResponse) if answer.status == 200 else None

    def list_length(self) -> int | None:
        """Return how long a list is, ``None`` when it was refused."""
        answer = self.ask()
        return None if answer is None else len(answer.items)

    def arm_of(self, user: str) -> str | None:
        """Return the experiment arm of a user."""
        answer = self.ask(user)
        arm = None if answer is None else answer.meta.experiment
        return None if arm is None else arm.variant

    def version_of(self, name: VersionName) -> str:
        """Return a version that a list names."""
        answer = self.ask()
        if answer is None:
            raise PilotError("the service did not give a list")
        version: str = getattr(answer.meta, name)
        return version

    def wait_for_version(self, name: VersionName, version: str) -> None:
        """Wait until lists name a version."""
        self.wait_until(lambda: self.version_of(name) == version, f"{name} {version[:12]} is not served")

    def wait_until(self, condition: Callable[[], bool], trouble: str) -> None:
        """Wait until a condition holds; raises :class:`PilotError` with ``trouble`` after half a minute."""
        end = time.monotonic() + WAIT_S
        while not condition():
            if time.monotonic() >= end:
                raise PilotError(trouble)
            time.sleep(0.02)

    def write_path(self, name: str) -> Path:
        """Return where a document was written."""
        return self.evidence / "documents" / name

    def write(self, name: str, document: object) -> Path:
        """Write a JSON document beside the evidence and return its path."""
        path = self.write_path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        return path
