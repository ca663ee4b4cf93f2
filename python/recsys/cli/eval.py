"""``recsys eval``: a table of commands, each imported only when it is called."""

from __future__ import annotations

from importlib.util import find_spec

import cyclopts

COMMANDS: dict[str, str] = {
    "validate": "Check logs: schema, semantics and how well they join.",
    "convert": "Convert a public data set to exposures and outcomes.",
    "simulate": "Write logs of an experiment whose truth is known.",
    "offline": "Score ranked lists against outcomes; compare a candidate with a baseline.",
    "experiment": "Measure the arms of an experiment.",
    "aa": "Check the false-positive rate by resampled A/A tests.",
    "interleaving": "Analyse interleaved lists.",
    "ope": "Estimate the value of a policy from another policy's logs.",
    "decide": "Ship, hold or fail, by the gates of a file.",
}

EXIT_CODES = """\
Exit codes: 0 is done, sane, sound or ship; 2 is hold (validate, aa, decide), 3 is fail (decide); 1 is
defective logs, or a mistake in the command, which is never 2.
"""

app = cyclopts.App(name="eval", help="Check logs, measure, compare and decide.", help_epilogue=EXIT_CODES)
for _name, _summary in COMMANDS.items():
    # The function `run_<name>` of `cli/eval_<name>.py` is the command.
    _module = f"recsys.cli.eval_{_name}"
    if find_spec(_module) is not None:
        app.command(f"{_module}:run_{_name}", name=_name, help=_summary)
