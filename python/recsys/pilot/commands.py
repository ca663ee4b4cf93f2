"""Runs ``recsys`` commands as a person does: as processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

from recsys.contracts.errors import RecsysError

COMMAND = (sys.executable, "-c", "from recsys.cli.main import main; main()")
"""Runs ``recsys`` with the interpreter, and the package, of this process."""


class CommandError(RecsysError):
    """A command that exited as it should not; ``trouble`` says how, without the command."""

    def __init__(self, shown: str, trouble: str) -> None:
        super().__init__(f"{shown} {trouble}")
        self.trouble = trouble


def run_command(*arguments: str, codes: Sequence[int] = (0,)) -> str:
    """Run a command and return what it prints; raises :class:`CommandError` unless it exits with a code of
    ``codes``.
    """
    environment = os.environ | {"NO_COLOR": "1", "COLUMNS": "200"}
    done = subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, check=False, env=environment
    )
    if done.returncode not in codes:
        said = (done.stderr or done.stdout).strip()
        raise CommandError(f"recsys {' '.join(arguments)}", f"exited {done.returncode}: {said}")
    return done.stdout
