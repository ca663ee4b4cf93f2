"""The analysis of an experiment over request rows."""

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute
import pytest

from recsys.contracts.errors import EvaluationError
from recsys.evaluation.experiment import ExperimentPlan, RatioMetric, analyse

PLAN = ExperimentPlan(
    control="A",
    candidate="B",
    shares={"A": 1, "B": 1},
    metrics=[
        RatioMetric(name="ctr", numerator="clicks"),
        RatioMetric(name="aov", numerator="revenue", denominator="orders"),
    ],
    p95_latency_margin=0.2,
    error_rate_margin=0.01,
    empty_list_margin=0.01,
)


def requests(seed=0, users=1500, lift=0.3, slow=1.0):
    rng = np.random.default_rng(seed)
    taste = rng.beta(2, 10, users)
    count = rng.poisson(5, users) + 1
    user = np.repeat(np.arange(users), count)
    variant = np.where(user % 2 == 0, "A", "B")
    is_b = variant == "B"
    clicks = (rng.random(user.size) < taste[user] * np.where(is_b, 1 + lift, 1.0) * 0.7).astype(float)
    return pa.table(
        {
            "user_id": [f"{u:08x}" for u in user],
            "variant": variant,
            "day": rng.integers(0, 7, user.size),
            "clicks": clicks,
            "orders": (rng.random(user.size) < 0.3).astype(float),
            "revenue": rng.exponential(20, user.size),
            "latency_ms": rng.gamma(4, 5, user.size) * np.where(is_b, slow, 1.0),
            "is_error": rng.random(user.size) < 0.002,
            "is_empty": rng.random(user.size) < 0.002,
        }
    )


def test_an_effect_is_found_where_it_is_and_guardrails_hold():
    got = analyse(requests(users=4000), PLAN)
    ctr, aov = got.metrics
    assert ctr.absolute.low > 0
    assert ctr.relative.low < 0.3 < ctr.relative.high
    assert ctr.p_holm < 0.05 < aov.absolute.p_value
    assert {name: rail.verdict for name, rail in got.guardrails.items()} == dict.fromkeys(
        ["error_rate", "empty_list_rate", "p95_latency"], "holds"
    )
    assert not got.sample_ratio.is_mismatch
    assert len(ctr.looks) == len(ctr.by_day) == 7
    last = ctr.looks[-1]
    assert last.low < ctr.absolute.low
    assert last.value == pytest.approx(ctr.absolute.value)


def test_a_slower_candidate_breaks_the_latency_guardrail():
    assert analyse(requests(slow=1.6), PLAN).guardrails["p95_latency"].verdict == "broken"


def test_results_do_not_depend_on_the_order_of_rows():
    table = requests(users=400)
    order = np.random.default_rng(1).permutation(table.num_rows)
    first, second = analyse(table, PLAN), analyse(table.take(pa.array(order)), PLAN)
    assert first.metrics[0] == second.metrics[0]
    assert first.guardrails == second.guardrails


def test_users_in_two_arms_are_counted_and_left_out():
    table = requests(users=400)
    stray = table.slice(0, 1).set_column(1, "variant", pa.array(["B"]))
    got = analyse(pa.concat_tables([table, stray]), PLAN)
    assert got.contaminated_users == 1
    assert sum(got.sample_ratio.observed.values()) == 399


def test_missing_arm_and_missing_column_are_named():
    table = requests(users=100)
    one_arm = table.filter(pa.compute.equal(table["variant"], "A"))
    with pytest.raises(EvaluationError, match="arm 'B'"):
        analyse(one_arm, PLAN)
    with pytest.raises(EvaluationError, match="'latency_ms' is missing"):
        analyse(table.drop_columns(["latency_ms"]), PLAN)
    with pytest.raises(EvaluationError, match="no declared share"):
        analyse(table, msgspec.structs.replace(PLAN, candidate="C"))


def test_nan_is_named_with_its_column():
    table = requests(users=100)
    clicks = table["clicks"].to_numpy().copy()
    clicks[3] = np.nan
    with pytest.raises(EvaluationError, match="'clicks': 1 values"):
        analyse(table.set_column(3, "clicks", pa.array(clicks)), PLAN)
