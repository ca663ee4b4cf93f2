"""The sample of the Open Bandit Dataset (Saito et al., 2021; CC BY 4.0) as exposures and outcomes.

It is read from the files of the installed distribution ``obp`` (Apache-2.0), whose code is not run. Each row
is one slot of a fashion shop's page that one policy filled:

- A row becomes an exposure of one item at rank 1, because the other slots of the page are not in the sample;
  the slot (1 to 3) is ``context.position``.
- The data names nobody. People with the same four hashed features count as one user, under a pseudonym.
- ``propensity`` and ``logging_propensity`` are the logging policy's; ``target_propensity`` is that of the
  uniform random policy, 1 / number of items: the value of ``random`` can be estimated from ``bts`` logs.
- A click becomes an outcome at the time of its exposure: the data has no other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Literal

import msgspec
import pyarrow as pa
from pyarrow import csv

from recsys.contracts.errors import EvaluationError
from recsys.contracts.pseudonym import pseudonym
from recsys.contracts.records import ExposedItem, Exposure, Outcome

Policy = Literal["random", "bts"]
Campaign = Literal["all", "men", "women"]

DISTRIBUTION = "obp"
ORIGIN = "Open Bandit Dataset (sample), ZOZO, Inc., CC BY 4.0"

_FEATURES = [f"user_feature_{number}" for number in range(4)]
_COLUMNS = ["timestamp", "item_id", "position", "click", "propensity_score", *_FEATURES]


@dataclass(frozen=True, slots=True)
class Converted:
    """The files that were written and their records."""

    exposures: Path
    outcomes: Path
    n_exposures: int
    n_outcomes: int


def convert_open_bandit(out: Path, *, policy: Policy, campaign: Campaign, salt: bytes) -> Converted:
    """Write ``exposures/`` and ``outcomes/`` below ``out``, one file each named for policy and campaign.

    Files of an earlier run are replaced. Raises EvaluationError when the distribution is not installed, lacks
    the files, or a value cannot be read.
    """
    if not salt:
        raise EvaluationError("the salt is empty")
    table = _read(policy, campaign, f"{campaign}.csv", _COLUMNS)
    n_items = _read(policy, campaign, "item_context.csv", ["item_id"]).num_rows
    exposures, outcomes = (out / log / f"{policy}-{campaign}.jsonl" for log in ("exposures", "outcomes"))
    encode = msgspec.json.Encoder().encode
    n_exposures = n_outcomes = 0
    try:
        exposures.parent.mkdir(parents=True, exist_ok=True)
        outcomes.parent.mkdir(parents=True, exist_ok=True)
        with exposures.open("wb") as served, outcomes.open("wb") as came:
            for exposure, outcome in _records(table, f"{policy}-{campaign}", policy, campaign, n_items, salt):
                served.write(encode(exposure) + b"\n")
                n_exposures += 1
                if outcome is not None:
                    came.write(encode(outcome) + b"\n")
                    n_outcomes += 1
    except OSError as error:
        raise EvaluationError(f"{out} cannot be written: {error.strerror}") from error
    return Converted(exposures, outcomes, n_exposures, n_outcomes)


def _records(
    table: pa.Table, name: str, policy: Policy, campaign: Campaign, n_items: int, salt: bytes
) -> Iterator[tuple[Exposure, Outcome | None]]:
    for number, row in enumerate(table.to_pylist()):
        features = {feature: row[feature] for feature in _FEATURES}
        request_id = f"open-bandit-{name}-{number:05d}"
        user_id = pseudonym(salt, "|".join(features.values()))
        try:
            ts = datetime.fromisoformat(row["timestamp"])
            propensity = float(row["propensity_score"])
        except ValueError as error:
            raise EvaluationError(f"{DISTRIBUTION}: {name}, row {number + 1}: {error}") from error
        item = ExposedItem(
            item_id=row["item_id"],
            rank=1,
            propensity=propensity,
            logging_propensity=propensity,
            target_propensity=1 / n_items,
        )
        context = {"surface": campaign, "algo_version": policy, "position": row["position"], **features}
        clicked = row["click"] == "1"
        yield (
            Exposure(request_id=request_id, user_id=user_id, ts=ts, items=[item], context=context),
            Outcome(request_id, user_id, row["item_id"], "click", ts) if clicked else None,
        )


def _read(policy: Policy, campaign: Campaign, name: str, columns: list[str]) -> pa.Table:
    """Return ``columns`` of a file of the sample as text, so that nothing is rounded or guessed."""
    wanted = f"obp/dataset/obd/{policy}/{campaign}/{name}"
    try:
        found = [file for file in files(DISTRIBUTION) or () if file.as_posix() == wanted]
    except PackageNotFoundError as error:
        raise EvaluationError(
            f"the Open Bandit sample is not installed: pip install --no-deps {DISTRIBUTION}==0.4.1"
        ) from error
    if not found:
        raise EvaluationError(f"the installed {DISTRIBUTION} has no {wanted}; version 0.4.1 has it")
    options = csv.ConvertOptions(
        include_columns=columns, column_types=dict.fromkeys(columns, pa.string()), strings_can_be_null=False
    )
    try:
        return csv.read_csv(str(found[0].locate()), convert_options=options)
    except (pa.ArrowException, OSError) as error:
        raise EvaluationError(f"{DISTRIBUTION}: {wanted} cannot be read: {error}") from error
