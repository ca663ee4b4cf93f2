"""Guardrails under watch: a broken arm is found soon, a sound one is left alone however often one looks."""

from __future__ import annotations

import json

import numpy as np
import pytest

from recsys.contracts.experiments import Arm, Experiment, Guardrail
from recsys.evaluation.live_guardrails import GuardrailWatch


def watch(metric: str, margin: float, alpha: float = 0.01) -> GuardrailWatch:
    arms = [Arm(name="control"), Arm(name="new")]
    rails = [Guardrail(metric, margin)]
    return GuardrailWatch(Experiment(id="e", surface="home", arms=arms, guardrails=rails), alpha)


def line(user: int, arm: str, *, empty: bool = False, error: bool = False, latency_ms: float = 1.0) -> bytes:
    record = {
        "request_id": "r",
        "user_id": f"{arm}{user}",
        "ts": "2026-01-31T00:00:00Z",
        "items": [] if empty else [{"item_id": "i", "rank": 1}],
        "context": {"experiment_id": "e", "experiment_variant": arm},
        "latency_ms": latency_ms,
        "error": error,
    }
    return json.dumps(record).encode() + b"\n"


def looks_until_breach(one: GuardrailWatch, bad: dict[str, float], metric: str, seed: int) -> int | None:
    generator = np.random.default_rng(seed)
    for step in range(60):
        for arm, chance in bad.items():
            for user in generator.integers(0, 400, 25):
                is_bad = bool(generator.random() < chance)
                fields = {"empty": is_bad} if metric == "empty_list_rate" else {"error": is_bad}
                if metric == "p95_latency":
                    fields = {"latency_ms": float(generator.exponential(10) * (3 if is_bad else 1))}
                one.add(line(int(user), arm, **fields))
        if one.look():
            return step
    return None


@pytest.mark.parametrize(
    ("metric", "chances"),
    [
        ("empty_list_rate", {"control": 0.0, "new": 1.0}),
        ("empty_list_rate", {"control": 0.02, "new": 0.3}),
        ("error_rate", {"control": 0.01, "new": 0.2}),
        ("p95_latency", {"control": 0.0, "new": 1.0}),
    ],
)
def test_a_broken_arm_is_found_within_a_few_looks(metric: str, chances: dict[str, float]) -> None:
    found = looks_until_breach(watch(metric, 0.01 if metric != "p95_latency" else 0.2), chances, metric, 1)
    assert found is not None
    assert found < 20


def test_a_sound_arm_is_seldom_stopped_however_often_one_looks() -> None:
    found = [
        looks_until_breach(
            watch("empty_list_rate", 1e-9, alpha=0.05), {"control": 0.1, "new": 0.1}, "empty_list_rate", seed
        )
        for seed in range(60)
    ]
    # At most 5 % in truth: ten of sixty have a probability below 1e-3.
    assert sum(step is not None for step in found) < 10


def test_the_breach_says_by_how_much() -> None:
    one = watch("empty_list_rate", 0.01)
    for user in range(200):
        one.add(line(user, "control"))
        one.add(line(user, "new", empty=user % 2 == 0))
    (breach,) = one.look()
    assert (breach.arm, breach.metric, breach.margin) == ("new", "empty_list_rate", 0.01)
    assert breach.increase == pytest.approx(0.5, abs=0.02)
    assert 0.01 < breach.lower_bound < breach.increase


def test_other_experiments_and_broken_lines_do_not_count() -> None:
    one = watch("empty_list_rate", 0.01)
    one.add(line(1, "new").replace(b'"experiment_id": "e"', b'"experiment_id": "other"'))
    one.add(b"{broken\n")
    assert one.requests == {}
    assert one.look() == []
