"""What the loop measures through the real service, beside what is true: for tests, and for
``python -m benches.simulate_loop``.
"""

from __future__ import annotations

import json
import math
import subprocess
import time
from collections.abc import Sequence
from itertools import permutations
from pathlib import Path

import numpy as np
from msgspec import Struct
from tests.experiments.shop import ITEMS, K, Shop, build_shop, open_shop, true_clicks, true_ctr
from tests.service.processes import RECSYS

from recsys.contracts.config import Exploration
from recsys.contracts.experiments import Arm, Experiment
from recsys.contracts.http import Candidates
from recsys.control.plane import ControlPlane
from recsys.evaluation.joins import join_logs
from recsys.evaluation.ope.estimate_all import Settings
from recsys.evaluation.plan import plan_from
from recsys.evaluation.run_experiment import run_experiment
from recsys.evaluation.run_ope import run_ope
from recsys.evaluation.stats.delta_method import difference, ratio
from recsys.experiments.assignment import Assignment
from recsys.experiments.exploration import list_propensities

LEVEL = 0.999
"""Of the intervals that truth has to lie in: one run in a thousand would miss it by chance."""
GOOD, POOR = ITEMS[::-1][:K], ITEMS[:K]
N_SPLITS = 1000


class Interval(Struct, frozen=True):
    """An estimate beside the truth."""

    truth: float
    value: float
    low: float
    high: float

    @property
    def holds(self) -> bool:
        return self.low <= self.truth <= self.high


class Effect(Struct, frozen=True):
    """What an experiment found."""

    interval: Interval
    is_mismatch: bool
    join_rate: float


class BrokenArm(Struct, frozen=True):
    """Seconds from the start of the guard to the rollback, and from there to the last list of an arm."""

    exit_code: int
    told: str
    stopped_s: float
    gone_s: float
    n_asked: int
    n_empty: int


def users_of(count: int) -> list[str]:
    return [f"user-{number}" for number in range(count)]


def visit_all(shop: Shop, users: Sequence[str], n_visits: int) -> None:
    for visit in range(n_visits):
        for user in users:
            shop.visit(user, visit)
    shop.send()


def known_effect(shop: Shop, users: Sequence[str], n_visits: int) -> Effect:
    """Run an experiment whose effect on the click-through rate is known, and evaluate its logs."""
    shop.start([{"name": "control"}, {"name": "related", "mode": "cooc"}])
    visit_all(shop, users, n_visits)
    plan = plan_from(
        {"control_variant": "control", "candidate_variant": "related", "metrics": ["ctr"], "level": LEVEL}
    )
    _, payload = run_experiment(shop.logs, plan)
    (metric,) = payload.result.metrics
    found = metric.absolute
    truth = true_ctr(GOOD) - true_ctr(POOR)
    return Effect(
        Interval(truth, found.value, found.low, found.high),
        payload.result.sample_ratio.is_mismatch,
        payload.joins.join_rate,
    )


def count_false_positives(shop: Shop, n_splits: int = N_SPLITS) -> int:
    """Return how many of ``n_splits`` experiments on users who are served alike find a difference at 5 %.

    They are the control's users of the logs, split anew by experiments of other names.
    """
    requests = join_logs(shop.logs["exposures"], shop.logs["outcomes"], shop.logs["assignments"]).requests
    rows = requests.filter(np.array(requests["variant"].to_pylist()) == "control").to_pylist()
    users = sorted({row["user_id"] for row in rows})
    asked, clicked = (dict.fromkeys(users, 0.0) for _ in range(2))
    for row in rows:
        asked[row["user_id"]] += 1
        clicked[row["user_id"]] += row["clicks"] > 0
    counts = np.array([[clicked[user], asked[user]] for user in users])
    n_found = 0
    for number in range(n_splits):
        split = Experiment(id=f"aa-{number}", surface="home", arms=[Arm(name="a"), Arm(name="b")])
        assignment = Assignment(b"salt", split)
        chosen = [assignment.choose(user, "default", rows[0]["ts"]) for user in users]
        is_a = np.array([one is not None and one.variant == "a" for one in chosen])
        means = [ratio(*counts[side].T) for side in (is_a, ~is_a)]
        n_found += difference(*means, 0.95).p_value < 0.05
    return n_found


def stop_broken_arm(shop: Shop, users: Sequence[str], limit_s: float = 60.0) -> BrokenArm:
    """Run an arm whose lists are empty beside a guard, until no arm is served any more."""
    plane = ControlPlane.open(shop.folder / "control")
    block = [{"rule_id": i, "action": "BLOCK", "target_type": "ITEM", "target_key": i} for i in ITEMS]
    broken = plane.put("demo", "rules", json.dumps(block).encode(), author="test").version
    plane.put("demo", "rules", b"[]", author="test")
    plane.close()
    shop.start([{"name": "control"}, {"name": "broken", "rules_version": broken}])
    started = time.monotonic()
    options = ["e", "--tenant", "demo", "--every", "0.2", "--data-dir", str(shop.folder)]
    n_empty = n_asked = 0
    with subprocess.Popen(
        [*RECSYS, "experiment", "guard", *options], stdout=subprocess.PIPE, text=True
    ) as guard:
        while guard.poll() is None:
            n_empty += not shop.visit(users[n_asked % len(users)], n_asked).items
            n_asked += 1
            assert time.monotonic() - started < limit_s
        assert guard.stdout is not None
        told = guard.stdout.read()
    stopped, number = time.monotonic(), n_asked
    while shop.ask(users[number % len(users)], number).meta.experiment is not None:
        number += 1
        assert time.monotonic() - stopped < limit_s
    gone = time.monotonic()
    return BrokenArm(guard.returncode, told, stopped - started, gone - stopped, n_asked, n_empty)


POOL = 6
LOGGING = {"method": "plackett_luce", "temperature": 1.0, "pool": POOL, "target": {"mode": "cooc"}}
TARGET = Exploration(method="plackett_luce", temperature=1.0, pool=POOL)


class OffPolicy(Struct, frozen=True):
    """Clicks per list of a mode that was not served, by each estimator; and of the one that was."""

    estimates: dict[str, Interval]
    errors: dict[str, float]
    served: float


def estimate_new_mode(folder: Path, users: Sequence[str], n_visits: int) -> OffPolicy:
    """Log a poor ranking with exploration, and estimate a good one from the logs alone."""
    build_shop(folder, {"exploration": LOGGING})
    items = ITEMS[3 : 3 + POOL]
    with open_shop(folder) as shop:
        for visit in range(n_visits):
            for user in users:
                shop.visit(user, visit, candidates=Candidates(include_ids=items))
        shop.send()
    # What the new mode would have shown is a matter of its ranking, which is the same for every request here.
    scores = dict(
        zip(items[::-1], [3.0 - 0.2 * (11 - ITEMS.index(item)) for item in items[::-1]], strict=True)
    )
    order = sorted(scores, key=lambda item: -scores[item])

    def target(shown: Sequence[str]) -> list[float]:
        return list_propensities(
            TARGET, [scores[item] for item in order], [order.index(item) for item in shown]
        )

    truth = math.fsum(math.prod(target(shown)) * true_clicks(shown) for shown in permutations(items, K))
    lists = [
        [item["item_id"] for item in json.loads(line)["items"]]
        for part in (folder / "logs" / "exposures").glob("*.jsonl")
        for line in part.read_text().splitlines()
    ]
    logs = {kind: [str(folder / "logs" / kind)] for kind in ("exposures", "outcomes")}
    _, payload = run_ope(logs, unit="list", settings=Settings(level=LEVEL))
    return OffPolicy(
        {one.estimator: Interval(truth, one.value, one.low, one.high) for one in payload.estimates},
        {one.estimator: one.standard_error for one in payload.estimates},
        sum(map(true_clicks, lists)) / len(lists),
    )
