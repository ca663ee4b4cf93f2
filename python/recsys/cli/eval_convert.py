"""``recsys eval convert``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from recsys.cli.console import OK, JsonFlag, print_json, stdout


def run_convert(
    *,
    out: Path,
    policy: Literal["random", "bts"] = "random",
    campaign: Literal["all", "men", "women"] = "all",
    salt: str = "open-bandit",
    json: JsonFlag = False,
) -> int:
    """Write the sample of the Open Bandit Dataset (package obp) as exposures and outcomes with propensities.

    Parameters
    ----------
    out
        The folder that gets exposures/ and outcomes/.
    policy
        The policy whose logs to convert: uniform random, or Bernoulli Thompson sampling.
    campaign
        The part of the shop.
    salt
        What the pseudonyms are made with; the data is public, so the default is no secret.
    """
    from recsys.evaluation.convert_open_bandit import ORIGIN, convert_open_bandit

    made = convert_open_bandit(out, policy=policy, campaign=campaign, salt=salt.encode())
    if json:
        print_json(
            {
                "origin": ORIGIN,
                "exposures": {"path": str(made.exposures), "records": made.n_exposures},
                "outcomes": {"path": str(made.outcomes), "records": made.n_outcomes},
            }
        )
    else:
        stdout().print(f"data: {ORIGIN}", soft_wrap=True)
        stdout().print(f"{made.n_exposures:,} exposures: {made.exposures}", soft_wrap=True)
        stdout().print(f"{made.n_outcomes:,} outcomes: {made.outcomes}", soft_wrap=True)
    return OK
