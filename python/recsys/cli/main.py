"""The ``recsys`` command: a table of groups, each imported only when it is called, and the exit codes.

Exit codes: 0 ok, 1 failed, 2 usage; a command that decides returns its own code (ship 0, hold 2, fail 3).
Under ``eval`` usage is 1 too: a slip in a script must not read as hold.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import cyclopts

from recsys.cli.console import FAILED, INTERRUPTED, OK, USAGE, print_error
from recsys.contracts.errors import RecsysError, UsageError

# name -> what `recsys --help` says of it; the group is `app` in the module of that name beside this one.
GROUPS: dict[str, str] = {
    "serve": "Answer recommendation requests over HTTP.",
    "demo": "Prepare the retail demo.",
    "pipeline": "From raw interactions to a release, in one run or stage by stage.",
    "manifest": "List, compare, roll back, pin and clean up releases.",
    "artifact": "Build, look into and verify catalogs and signals.",
    "tenant": "Create, list, show, suspend and resume tenants.",
    "key": "Issue, list, show and revoke API keys.",
    "config": "Show, change and roll back a tenant's ranking configuration.",
    "rules": "Show, change and roll back a tenant's merchandising rules.",
    "experiment": "Create, start, ramp, stop and roll back experiments.",
    "signals": "Serve from rows: load them, list them, drop days, compile them.",
    "audit": "Read and verify the audit trail.",
    "logs": "List, compact, ship and clear the event logs.",
    "erase": "Remove one user from logs, signals and audit comments.",
    "backup": "Copy the control store while it is in use.",
    "restore": "Make the control store what it was at a backup.",
    "eval": "Check logs, measure, compare and decide.",
    "doctor": "See what is wrong with a running or a dead service.",
    "drill": "Break something on a scratch copy, and see that it is noticed and mended.",
    "pilot": "Where the pilot stands, whether it is ready, whether a candidate may ship.",
}


def _version() -> str:
    from recsys import __version__

    return __version__


def build_app() -> cyclopts.App:
    """Return the application; groups are registered by import path, so ``--help`` imports none of them."""
    app = cyclopts.App(
        name="recsys",
        help="A recommender suite: build signals, serve them, log what was served, measure and decide.",
        version=_version,
        result_action="return_value",
        suppress_keyboard_interrupt=False,  # it would exit without a word
    )
    for name, summary in GROUPS.items():
        app.command(f"recsys.cli.{name}:app", name=name, help=summary)
    return app


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; errors are told on stderr in one line."""
    usage = FAILED if arguments[:1] == ["eval"] else USAGE
    try:
        result: object = build_app()(arguments, exit_on_error=False)
    except cyclopts.CycloptsError:  # cyclopts has printed it
        return usage
    except UsageError as error:
        print_error(str(error))
        return usage
    except RecsysError as error:
        print_error(str(error))
        return FAILED
    except OSError as error:
        print_error(f"{error.filename}: {error.strerror}" if error.filename else str(error))
        return FAILED
    except KeyboardInterrupt:
        sys.stderr.write("stopped\n")
        return INTERRUPTED
    return result if isinstance(result, int) else OK


def main() -> None:
    """Run the command line of this process and exit."""
    sys.exit(run(sys.argv[1:]))
