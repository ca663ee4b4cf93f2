"""Logs of an experiment whose truth is known, to learn the commands on and to test them.

Users are split in half. Before ``start`` both arms see the same; from then on, clicks of the candidate's
users are ``1 + lift`` times as likely. Each list has three items; the item of a rank is drawn from four of
that rank, by the logging policy, with exact propensities, and the target policy likes better items more. Each
item also says which of two teams placed it; the items of team ``b`` are the better ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np

from recsys.contracts.errors import EvaluationError
from recsys.contracts.pseudonym import pseudonym
from recsys.evaluation.stats.estimate import FloatArray

EXPERIMENT, CONTROL, CANDIDATE = "simulated", "control", "candidate"
FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC)
DAYS_BEFORE, DAYS = 7, 14
RANKS, CHOICES = 3, 4
_REQUESTS_PER_DAY = 0.6
_CONVERSION = 0.15
_QUALITY = np.linspace(0.5, 1.5, CHOICES)
_LOGGING = np.array([0.4, 0.3, 0.2, 0.1])
_TARGET = np.array([0.1, 0.2, 0.3, 0.4])
_TEAM_B = np.array(
    [0.3, 0.3, 0.25, 0.15]
)  # the other team draws so that both together are the logging policy
_EXAMINED = np.array([1.0, 0.7, 0.5])
_MEAN_TASTE = 0.1


_PLAN = f"""\
control_variant = "{CONTROL}"
candidate_variant = "{CANDIDATE}"
experiment_id = "{EXPERIMENT}"
start = {(FIRST_DAY + timedelta(days=DAYS_BEFORE)).isoformat()}
metrics = ["ctr", "conversion_rate", "revenue_per_user"]

[shares]
{CONTROL} = 0.5
{CANDIDATE} = 0.5

[primary_metric]
name = "ctr"
minimum_effect = 0.002

[guardrails]
p95_latency = 0.1
error_rate = 0.005
empty_list_rate = 0.01
"""


@dataclass(frozen=True, slots=True)
class Simulated:
    """The files that were written, their records, and the truth: expected clicks per list of each policy."""

    exposures: Path
    outcomes: Path
    plan: Path
    n_exposures: int
    n_outcomes: int
    start: datetime
    logging_clicks_per_list: float
    target_clicks_per_list: float


def simulate(out: Path, *, users: int, lift: float, seed: int, salt: bytes = b"simulated") -> Simulated:
    """Write ``exposures/``, ``outcomes/`` and ``plan.toml`` below ``out``; the same seed, the same bytes.

    ``lift`` is relative (0.1 is +10 %). The expected clicks per list are those without a lift. Raises
    ``EvaluationError`` for fewer than 4 users, or a lift that leaves no probability.
    """
    if users < 4 or not -1.0 <= lift <= 1.0:
        raise EvaluationError(
            f"a simulation needs 4 users or more and a lift of -1 to 1, not {users}, {lift}"
        )
    exposures, outcomes = (out / log / "simulated.jsonl" for log in ("exposures", "outcomes"))
    plan = out / "plan.toml"
    counts = [0, 0]
    encode = msgspec.json.Encoder().encode
    try:
        for path in (exposures, outcomes):
            path.parent.mkdir(parents=True, exist_ok=True)
        with exposures.open("wb") as served, outcomes.open("wb") as came:
            for exposure, found in _records(users, lift, np.random.default_rng(seed), salt):
                served.write(encode(exposure) + b"\n")
                counts[0] += 1
                for outcome in found:
                    came.write(encode(outcome) + b"\n")
                    counts[1] += 1
        plan.write_text(_PLAN, encoding="utf-8")
    except OSError as error:
        raise EvaluationError(f"{out} cannot be written: {error.strerror}") from error
    seen = _MEAN_TASTE * float(_EXAMINED.sum())
    return Simulated(
        exposures=exposures,
        outcomes=outcomes,
        plan=plan,
        n_exposures=counts[0],
        n_outcomes=counts[1],
        start=FIRST_DAY + timedelta(days=DAYS_BEFORE),
        logging_clicks_per_list=seen * float(_LOGGING @ _QUALITY),
        target_clicks_per_list=seen * float(_TARGET @ _QUALITY),
    )


def _records(
    users: int, lift: float, draw: np.random.Generator, salt: bytes
) -> Iterator[tuple[dict[str, object], list[dict[str, object]]]]:
    """Yield each exposure with its outcomes; plain dicts, for an item carries a key that is not ours."""
    tastes = draw.beta(2.0, 2.0 / _MEAN_TASTE - 2.0, users)
    is_candidate = draw.random(users) < 0.5
    for user in range(users):
        name = pseudonym(salt, f"user-{user}")
        n_requests = int(draw.poisson(_REQUESTS_PER_DAY * (DAYS_BEFORE + DAYS)))
        moments = np.sort(draw.random(n_requests)) * (DAYS_BEFORE + DAYS)
        boosts = np.where((moments >= DAYS_BEFORE) & is_candidate[user], 1.0 + lift, 1.0)
        lists = _draw_lists(draw, tastes[user] * boosts)
        for number, moment in enumerate(moments.tolist()):
            ts = FIRST_DAY + timedelta(seconds=round(moment * 86_400))
            known: dict[str, object] = {"request_id": f"simulated-{user}-{number}", "user_id": name}
            arm = CANDIDATE if is_candidate[user] else CONTROL
            context = {"surface": lists.surfaces[number], "algo_version": "simulated"}
            if moment >= DAYS_BEFORE:
                context |= {"experiment_id": EXPERIMENT, "experiment_variant": arm}
            items = _items(lists.picks[number], lists.is_b[number])
            exposure = {
                **known,
                "ts": ts,
                "items": items,
                "context": context,
                "latency_ms": lists.latencies[number],
                "error": lists.errors[number],
            }
            yield exposure, _outcomes(known, ts, items, lists.clicked[number], lists.sales[number])


@dataclass(frozen=True, slots=True)
class _Lists:
    """All lists of one user, a row each; ``sales`` is the value that a click would bring, 0 for none."""

    picks: list[list[int]]
    is_b: list[list[bool]]
    clicked: list[list[bool]]
    sales: list[list[float]]
    latencies: list[float]
    errors: list[bool]
    surfaces: list[str]


def _draw_lists(draw: np.random.Generator, tastes: FloatArray) -> _Lists:
    shape = (tastes.size, RANKS)
    picks = np.searchsorted(_LOGGING.cumsum()[:-1], draw.random(shape), side="right")
    chances = np.minimum(1.0, tastes[:, None] * _QUALITY[picks] * _EXAMINED)
    values = np.where(draw.random(shape) < _CONVERSION, draw.lognormal(3.0, 0.6, shape).round(2), 0.0)
    return _Lists(
        picks=picks.tolist(),
        is_b=(draw.random(shape) < _TEAM_B[picks] / (2.0 * _LOGGING[picks])).tolist(),
        clicked=(draw.random(shape) < chances).tolist(),
        sales=values.tolist(),
        latencies=draw.gamma(4.0, 5.0, tastes.size).round(3).tolist(),
        errors=(draw.random(tastes.size) < 0.002).tolist(),
        surfaces=["home" if home else "cart" for home in draw.random(tastes.size) < 0.7],
    )


def _items(picks: list[int], is_b: list[bool]) -> list[dict[str, object]]:
    return [
        {
            "item_id": f"item-{rank}-{pick}",
            "rank": rank,
            "logging_propensity": float(_LOGGING[pick]),
            "target_propensity": float(_TARGET[pick]),
            "team": "b" if b else "a",
        }
        for rank, (pick, b) in enumerate(zip(picks, is_b, strict=True), 1)
    ]


def _outcomes(
    known: dict[str, object],
    ts: datetime,
    items: list[dict[str, object]],
    clicked: list[bool],
    sales: list[float],
) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for item, is_clicked, value in zip(items, clicked, sales, strict=True):
        if is_clicked:
            mine = known | {"item_id": item["item_id"]}
            found.append(mine | {"event_type": "click", "ts": ts + timedelta(seconds=20)})
            if value:
                sold = {"event_type": "conversion", "ts": ts + timedelta(minutes=5), "value": value}
                found.append(mine | sold)
    return found
