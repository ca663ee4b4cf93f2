"""What the pilot run did: printed while it runs, kept as JSON, shown as a page."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from importlib.resources import files
from pathlib import Path

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from msgspec import Struct

from recsys.contracts.errors import RecsysError


class StepRecord(Struct, kw_only=True):
    """One step: what it means, what it measured, the commands it ran, the files it left (relative)."""

    number: int
    title: str
    meaning: str
    passed: bool = False
    seconds: float = 0.0
    measured: dict[str, str] = {}
    commands: list[str] = []
    files: list[str] = []
    detail: str = ""


class Journal:
    """The steps of one run, in ``folder``."""

    def __init__(self, folder: Path, began_at: datetime, n_steps: int, tell: Callable[[str], None]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.steps: list[StepRecord] = []
        self._began_at = began_at
        self._began = time.monotonic()
        self._n_steps = n_steps
        self._tell = tell

    @contextmanager
    def step(self, title: str, meaning: str) -> Iterator[StepRecord]:
        """Open a step; it passes unless a :class:`RecsysError` ends it, which goes on to the caller."""
        record = StepRecord(
            number=len(self.steps) + 1, title=title, meaning=meaning, measured={}, commands=[], files=[]
        )
        self.steps.append(record)
        self._tell(f"{record.number}/{self._n_steps} {title}: {meaning}")
        began = time.monotonic()
        try:
            yield record
            record.passed = True
        except RecsysError as error:
            record.detail = str(error)
            raise
        finally:
            record.seconds = round(time.monotonic() - began, 2)
            for name, value in record.measured.items():
                self._tell(f"      {name}: {value}")
            if record.detail:
                self._tell(f"      failed: {record.detail}")
            self.write()

    @property
    def passed(self) -> bool:
        """Whether every step has passed."""
        return bool(self.steps) and all(step.passed for step in self.steps)

    def relative(self, path: Path) -> str:
        """Return a file of the folder as links in it name it."""
        return path.relative_to(self.folder).as_posix()

    def write(self) -> None:
        """Write ``run.json`` and ``index.html``."""
        seconds = round(time.monotonic() - self._began, 1)
        document = {
            "began_at": self._began_at,
            "seconds": seconds,
            "passed": self.passed,
            "steps": self.steps,
        }
        (self.folder / "run.json").write_bytes(msgspec.json.format(msgspec.json.encode(document)) + b"\n")
        (self.folder / "index.html").write_text(self._page(seconds), encoding="utf-8")

    def _page(self, seconds: float) -> str:
        environment = Environment(
            loader=PackageLoader("recsys", "pilot"), autoescape=True, undefined=StrictUndefined
        )
        environment.filters["trusted"] = Markup
        css = files("recsys.evaluation.report").joinpath("page.css").read_text(encoding="utf-8")
        return environment.get_template("run.html.j2").render(
            steps=self.steps,
            passed=self.passed,
            is_whole=len(self.steps) == self._n_steps,
            seconds=seconds,
            began_at=self._began_at,
            css=css.strip(),
        )
