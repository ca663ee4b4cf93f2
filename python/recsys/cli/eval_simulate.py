"""``recsys eval simulate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from recsys.cli.console import OK, JsonFlag, print_json, stdout


def run_simulate(
    *,
    out: Path,
    users: Annotated[int, Parameter(validator=Number(lte=10_000_000))] = 3000,
    lift: float = 0.15,
    seed: Annotated[int, Parameter(validator=Number(gte=0))] = 0,
    json: JsonFlag = False,
) -> int:
    """Write logs of an experiment whose truth is known, to learn the commands on.

    Parameters
    ----------
    out
        The folder that gets exposures/, outcomes/ and a plan.toml to begin with.
    users
        How many users; half of them are in each arm.
    lift
        How much more likely clicks of the candidate's users are, relative.
    seed
        What the draws are made with; the same seed gives the same files.
    """
    from recsys.evaluation.simulate import CANDIDATE, CONTROL, simulate

    made = simulate(out, users=users, lift=lift, seed=seed)
    if json:
        print_json(made)
        return OK
    stdout().print(f"{made.n_exposures:,} exposures: {made.exposures}", soft_wrap=True)
    stdout().print(f"{made.n_outcomes:,} outcomes: {made.outcomes}", soft_wrap=True)
    stdout().print(f"a plan to begin with: {made.plan}", soft_wrap=True)
    stdout().print(f"arms {CONTROL} and {CANDIDATE} from {made.start.isoformat()}, lift {lift:+.1%}")
    stdout().print(
        f"clicks per list: {made.logging_clicks_per_list:.4f} by the logging policy, "
        f"{made.target_clicks_per_list:.4f} by the target policy"
    )
    return OK
