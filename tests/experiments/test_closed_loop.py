"""The loop through the real service: visitors get arms, click, and evaluation finds what is true."""

from __future__ import annotations

import json
import math
import subprocess
import time
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
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
from recsys.evaluation.run_interleaving import run_interleaving
from recsys.evaluation.run_ope import run_ope
from recsys.evaluation.stats.delta_method import difference, ratio
from recsys.experiments.assignment import Assignment
from recsys.experiments.exploration import list_propensities

N_USERS, N_VISITS = 1200, 2
LEVEL = 0.999
"""Of the intervals that truth has to lie in: one run in a thousand would miss it by chance."""
USERS = [f"user-{number}" for number in range(N_USERS)]
GOOD, POOR = ITEMS[::-1][:K], ITEMS[:K]


@pytest.fixture
def shop(tmp_path: Path):
    build_shop(tmp_path)
    with open_shop(tmp_path, workers=2) as opened:
        yield opened


def visit_all(shop: Shop) -> None:
    for visit in range(N_VISITS):
        for user in USERS:
            shop.visit(user, visit)
    shop.send()


@pytest.mark.slow
def test_a_known_effect_lies_in_the_interval_and_equal_arms_differ_as_often_as_they_may(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.start([{"name": "control"}, {"name": "related", "mode": "cooc"}])
    visit_all(shop)
    plan = plan_from(
        {"control_variant": "control", "candidate_variant": "related", "metrics": ["ctr"], "level": LEVEL}
    )
    _, payload = run_experiment(shop.logs, plan)
    (metric,) = payload.result.metrics
    truth = true_ctr(GOOD) - true_ctr(POOR)
    assert metric.absolute.low <= truth <= metric.absolute.high
    assert metric.absolute.low > 0
    assert not payload.result.sample_ratio.is_mismatch
    assert payload.joins.join_rate == 1.0

    # Arms that rank alike: the control's users, split anew by a thousand experiments of other names.
    requests = join_logs(shop.logs["exposures"], shop.logs["outcomes"], shop.logs["assignments"]).requests
    rows = requests.filter(np.array(requests["variant"].to_pylist()) == "control").to_pylist()
    users = sorted({row["user_id"] for row in rows})
    asked, clicked = (dict.fromkeys(users, 0.0) for _ in range(2))
    for row in rows:
        asked[row["user_id"]] += 1
        clicked[row["user_id"]] += row["clicks"] > 0
    n_found = 0
    for number in range(1000):
        split = Experiment(id=f"aa-{number}", surface="home", arms=[Arm(name="a"), Arm(name="b")])
        assignment = Assignment(b"salt", split)
        arm = [assignment.choose(user, "default", rows[0]["ts"]).variant for user in users]
        means = [
            ratio(
                *(
                    np.array([of[u] for u, a in zip(users, arm, strict=True) if a == name])
                    for of in (clicked, asked)
                )
            )
            for name in "ab"
        ]
        n_found += difference(*means, 0.95).p_value < 0.05
    assert stats.binomtest(n_found, 1000, 0.05).pvalue > 1e-3
    with capsys.disabled():
        gap = metric.absolute
        print(
            f"\neffect on ctr: true {truth:+.4f}, found {gap.value:+.4f} [{gap.low:+.4f}, {gap.high:+.4f}]"
            f" at {LEVEL:.1%}; of 1,000 splits of equal arms {n_found} differ at 5 %"
        )


@pytest.mark.slow
def test_an_arm_with_empty_lists_is_stopped_by_its_guardrail_and_rolled_back(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    plane = ControlPlane.open(shop.folder / "control")
    block = [{"rule_id": i, "action": "BLOCK", "target_type": "ITEM", "target_key": i} for i in ITEMS]
    broken = plane.put("demo", "rules", json.dumps(block).encode(), author="test").version
    plane.put("demo", "rules", b"[]", author="test")
    plane.close()
    shop.start([{"name": "control"}, {"name": "broken", "rules_version": broken}])
    started = time.monotonic()
    command = [
        *RECSYS,
        "experiment",
        "guard",
        "e",
        "--tenant",
        "demo",
        "--every",
        "0.2",
        "--data-dir",
        str(shop.folder),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as guard:
        n_empty = n_asked = 0
        number = 0
        while guard.poll() is None:
            n_empty += not shop.visit(USERS[number % N_USERS], number).items
            n_asked += 1
            number += 1
            assert time.monotonic() - started < 60
        assert guard.stdout is not None
        told = guard.stdout.read()
    stopped = time.monotonic()
    assert guard.returncode == 3
    assert "empty_list_rate of broken" in told
    while shop.ask(USERS[number % N_USERS], number).meta.experiment is not None:
        number += 1
        assert time.monotonic() - stopped < 10
    served = time.monotonic()
    assert n_empty > 0
    assert all(len(shop.ask(user, 10_000).items) == K for user in USERS[:50])
    with capsys.disabled():
        print(
            f"\nbroken arm: rolled back {stopped - started:.1f} s after the guard was begun"
            f" ({n_asked} requests, {n_empty} of them empty); no arm served {served - stopped:.2f} s later"
        )


@pytest.mark.slow
def test_interleaving_prefers_the_better_ranking(shop: Shop) -> None:
    arms = [{"name": "control"}, {"name": "related", "mode": "cooc"}]
    shop.start(arms, kind="interleaving")
    for user in USERS[:600]:
        shop.visit(user, 0)
    shop.send()
    _, payload = run_interleaving({role: shop.logs[role] for role in ("exposures", "outcomes")})
    assert payload.preference.low > 0.5


POOL = 6
LOGGING = {"method": "plackett_luce", "temperature": 1.0, "pool": POOL}
TARGET = Exploration(method="plackett_luce", temperature=1.0, pool=POOL)


@pytest.mark.slow
def test_the_value_of_a_new_mode_is_estimated_from_the_logs_of_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build_shop(tmp_path, {"exploration": LOGGING})
    items = ITEMS[3 : 3 + POOL]
    with open_shop(tmp_path) as shop:
        for visit in range(N_VISITS):
            for user in USERS:
                shop.visit(user, visit, candidates=Candidates(include_ids=items))
        shop.send()
    # What the new mode would have shown is a matter of its ranking, which is the same for every request here.
    scores = dict(
        zip(items[::-1], [3.0 - 0.2 * (11 - ITEMS.index(item)) for item in items[::-1]], strict=True)
    )
    order = sorted(scores, key=lambda item: -scores[item])

    def target(shown: tuple[str, ...] | list[str]) -> list[float]:
        return list_propensities(
            TARGET, [scores[item] for item in order], [order.index(item) for item in shown]
        )

    truth = math.fsum(math.prod(target(shown)) * true_clicks(shown) for shown in permutations(items, K))
    weighed = tmp_path / "weighed"
    weighed.mkdir()
    logged = 0.0
    with (weighed / "exposures.jsonl").open("w") as file:
        for part in (tmp_path / "logs" / "exposures").glob("*.jsonl"):
            for line in part.read_text().splitlines():
                record = json.loads(line)
                shown = [item["item_id"] for item in record["items"]]
                for item, propensity in zip(record["items"], target(shown), strict=True):
                    item["target_propensity"] = propensity
                logged += true_clicks(shown)
                file.write(json.dumps(record) + "\n")
    logs = {"exposures": [str(weighed)], "outcomes": [str(tmp_path / "logs" / "outcomes")]}
    _, payload = run_ope(logs, unit="list", settings=Settings(level=LEVEL))
    values = {one.estimator: one for one in payload.estimates}
    for name in ("standard_ips", "reward_interaction_ips"):
        assert values[name].low <= truth <= values[name].high, name
    # The logging policy is worse, and the estimate with less variance tells the two apart at 95 %.
    narrow = values["reward_interaction_ips"]
    assert narrow.value - 1.96 * narrow.standard_error > logged / (N_VISITS * N_USERS)
    with capsys.disabled():
        told = "; ".join(
            f"{name} {one.value:.3f} [{one.low:.3f}, {one.high:.3f}]" for name, one in values.items()
        )
        print(
            f"\nclicks per list of the new mode: true {truth:.3f};"
            f" of the logged one {logged / N_VISITS / N_USERS:.3f}; {told}"
        )
