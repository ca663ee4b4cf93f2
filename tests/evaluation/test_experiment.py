"""The analysis of an experiment over request rows."""

from datetime import UTC, datetime

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute
import pytest
from scipy import stats

from recsys.contracts.errors import EvaluationError
from recsys.evaluation.experiment import analyse
from recsys.evaluation.plan import Metric, Plan, PrimaryMetric, check_plan

PLAN = Plan(
    control_variant="A",
    candidate_variant="B",
    metrics=[
        Metric(name="ctr", numerator="clicks"),
        Metric(name="aov", numerator="revenue", denominator="orders"),
    ],
    primary_metric=PrimaryMetric(name="ctr", minimum_effect=0.01),
    guardrails={"p95_latency": 0.2, "error_rate": 0.01, "empty_list_rate": 0.01},
)


def requests(seed=0, users=1500, lift=0.3, slow=1.0, activity=5):
    rng = np.random.default_rng(seed)
    taste = rng.beta(2, 10, users)
    count = rng.poisson(activity, users) + 1
    user = np.repeat(np.arange(users), count)
    variant = np.where(user % 2 == 0, "A", "B")
    is_b = variant == "B"
    clicks = (rng.random(user.size) < taste[user] * np.where(is_b, 1 + lift, 1.0) * 0.7).astype(float)
    days = np.datetime64("2026-01-01T12:00:00", "us") + rng.integers(0, 7, user.size) * np.timedelta64(1, "D")
    return pa.table(
        {
            "user_id": [f"{u:08x}" for u in user],
            "variant": variant,
            "ts": pa.array(days, pa.timestamp("us", "UTC")),
            "clicks": clicks,
            "conversions": (clicks * (rng.random(user.size) < 0.2)),
            "orders": (rng.random(user.size) < 0.3).astype(float),
            "revenue": rng.exponential(20, user.size),
            "latency_ms": rng.gamma(4, 5, user.size) * np.where(is_b, slow, 1.0),
            "error": rng.random(user.size) < 0.002,
            "n_items": np.where(rng.random(user.size) < 0.002, 0, 10),
            "surface": np.where(rng.random(user.size) < 0.7, "home", "cart"),
        }
    )


def plan(**changes):
    return msgspec.structs.replace(PLAN, **changes)


def replace_column(table, name, values):
    return table.set_column(table.column_names.index(name), name, values)


def per_user(table, arm, column):
    mine = table.filter(pa.compute.equal(table["variant"], arm))
    return mine.group_by("user_id").aggregate([(column, "sum")])[f"{column}_sum"].to_numpy()


def test_an_effect_is_found_where_it_is_and_guardrails_hold():
    got = analyse(requests(users=4000), PLAN)
    ctr, aov = got.metrics
    assert ctr.absolute.low > 0
    assert ctr.relative.low < 0.3 < ctr.relative.high
    assert ctr.p_holm < 0.05 < aov.absolute.p_value
    assert {name: rail.test.verdict for name, rail in got.guardrails.items()} == dict.fromkeys(
        ["error_rate", "empty_list_rate", "p95_latency"], "holds"
    )
    assert not got.sample_ratio.is_mismatch
    assert len(ctr.looks) == len(ctr.by_day) == 7
    last = ctr.looks[-1]
    assert last.always_valid.low < last.fixed_low == pytest.approx(ctr.absolute.low)
    assert last.always_valid.value == pytest.approx(ctr.absolute.value)
    assert ctr.trend is not None
    assert ctr.trend.p_value > 0.01
    assert got.power is not None
    assert 0.3 < got.power.power < 0.8
    assert 2000 < got.power.users_per_arm_needed < 8000
    assert {row.value for row in ctr.slices} == {"home", "cart"}


def test_a_slower_candidate_breaks_the_latency_guardrail():
    assert analyse(requests(slow=1.6), PLAN).guardrails["p95_latency"].test.verdict == "broken"


def test_a_metric_can_be_a_guardrail_and_is_turned_the_way_that_harms():
    margin = {"ctr": 0.02}
    assert (
        analyse(requests(users=3000, lift=0.0), plan(guardrails=margin)).guardrails["ctr"].test.verdict
        == "holds"
    )
    worse = analyse(requests(users=3000, lift=-0.6), plan(guardrails=margin)).guardrails["ctr"]
    assert worse.test.verdict == "broken"
    assert worse.test.increase == pytest.approx(worse.control - worse.candidate)


def test_results_do_not_depend_on_the_order_of_rows():
    table = requests(users=600)
    order = np.random.default_rng(1).permutation(table.num_rows)
    first, second = analyse(table, PLAN), analyse(table.take(pa.array(order)), PLAN)
    assert first == second


def test_means_per_user_are_tested_by_welch_and_proportions_by_users():
    family = ["revenue_per_user", "converting_users"]
    table = requests(users=800).rename_columns({"revenue": "value"})
    revenue, converting = analyse(table, plan(metrics=family, guardrails={}, primary_metric=None)).metrics
    a, b = per_user(table, "A", "value"), per_user(table, "B", "value")
    theirs = stats.ttest_ind(b, a, equal_var=False)
    assert revenue.absolute.p_value == pytest.approx(theirs.pvalue, rel=1e-6)
    assert revenue.absolute.method == "Welch t-test"
    shares = [(per_user(table, arm, "conversions") > 0).mean() for arm in "AB"]
    assert (converting.control.value, converting.candidate.value) == pytest.approx(shares)


def test_winsorising_caps_users_of_both_arms_at_one_value():
    table = requests(users=800).rename_columns({"revenue": "value"})
    values = table["value"].to_numpy().copy()
    values[0] = 1e7
    table = replace_column(table, "value", pa.array(values))
    metric = Metric(name="revenue", numerator="value", denominator="users", winsorise=0.99)
    got = analyse(table, plan(metrics=[metric], guardrails={}, primary_metric=None)).metrics[0]
    assert got.cap is not None
    assert got.cap.value < 1e6
    assert got.cap.users_capped >= 1
    assert abs(got.absolute.value) < 100
    assert got.looks[-1].always_valid.value == pytest.approx(got.absolute.value)


def test_bootstrap_and_delta_method_agree():
    table = requests(users=2000)
    metrics = [Metric(name=m, numerator="clicks", method=m) for m in ("delta", "bootstrap")]
    delta, boot = analyse(table, plan(metrics=metrics, guardrails={}, primary_metric=None)).metrics
    assert boot.absolute.standard_error == pytest.approx(delta.absolute.standard_error, rel=0.08)
    assert (boot.absolute.low, boot.absolute.high) == pytest.approx(
        (delta.absolute.low, delta.absolute.high), abs=0.15 * (delta.absolute.high - delta.absolute.low)
    )


def test_the_pre_period_narrows_the_interval_and_leaves_the_effect():
    start = datetime(2026, 1, 4, tzinfo=UTC)
    table = requests(users=1000, activity=40, lift=0.0)
    got = analyse(table, plan(start=start)).metrics[0]
    assert got.cuped is not None
    assert 0.1 < got.cuped.variance_reduction < 0.9
    assert got.cuped.difference.standard_error < got.absolute.standard_error
    assert got.cuped.difference.value == pytest.approx(
        got.absolute.value, abs=3 * got.absolute.standard_error
    )
    assert len(got.looks) == 4
    without = analyse(table.filter(pa.compute.greater_equal(table["ts"], pa.scalar(start))), PLAN).metrics[0]
    assert without.absolute == got.absolute
    assert without.cuped is None


def test_a_user_without_a_pre_period_stands_at_the_mean_and_is_not_counted_as_seen():
    start = datetime(2026, 1, 4, tzinfo=UTC)
    table = requests(users=600, activity=4)
    earlier = table.filter(pa.compute.less(table["ts"], pa.scalar(start)))
    running = table.filter(pa.compute.greater_equal(table["ts"], pa.scalar(start)))
    seen = set(earlier["user_id"].to_pylist()) & set(running["user_id"].to_pylist())
    got = analyse(table, plan(start=start)).metrics[0]
    assert 0 < len(seen) < len(set(running["user_id"].to_pylist()))
    assert got.cuped.users_before == len(seen)


def test_users_in_two_arms_are_counted_and_left_out():
    table = requests(users=400)
    stray = replace_column(table.slice(0, 1), "variant", pa.array(["B"]))
    got = analyse(pa.concat_tables([table, stray]), PLAN)
    assert got.contaminated_users == 1
    assert sum(got.sample_ratio.observed.values()) == 399


def test_requests_without_an_arm_are_counted_and_belong_to_nobody():
    table = requests(users=400)
    arms = table["variant"].to_pylist()
    arms[0] = None
    got = analyse(replace_column(table, "variant", pa.array(arms)), PLAN)
    assert (got.requests, got.requests_without_arm) == (table.num_rows, 1)


def test_one_of_several_experiments_has_to_be_named():
    table = requests(users=400)
    both = pa.array(np.where(np.arange(table.num_rows) % 2 == 0, "x", "y"))
    table = table.append_column("experiment_id", both)
    with pytest.raises(EvaluationError, match="several experiments: x, y; say which, by --experiment or"):
        analyse(table, PLAN)
    got = analyse(table, plan(experiment_id="x"))
    assert got.requests_without_arm == table.num_rows // 2


def test_an_arm_with_nobody_in_it_is_seen():
    got = analyse(requests(users=400), plan(shares={"A": 1, "B": 1, "C": 1}))
    assert got.sample_ratio.observed["C"] == 0
    assert got.sample_ratio.is_mismatch


def test_missing_arm_and_missing_column_are_named():
    table = requests(users=100)
    one_arm = table.filter(pa.compute.equal(table["variant"], "A"))
    with pytest.raises(EvaluationError, match="arm 'B'; there are: A"):
        analyse(one_arm, PLAN)
    with pytest.raises(EvaluationError, match="'latency_ms' is missing"):
        analyse(table.drop_columns(["latency_ms"]), PLAN)
    with pytest.raises(EvaluationError, match="'revenue' is missing"):
        analyse(table.drop_columns(["revenue"]), PLAN)
    with pytest.raises(EvaluationError, match="'surface' does not hold numbers"):
        analyse(table, plan(metrics=[Metric(name="ctr", numerator="surface")]))
    with pytest.raises(EvaluationError, match="no requests"):
        analyse(table.slice(0, 0), PLAN)


def test_nan_is_named_with_its_column():
    table = requests(users=100)
    clicks = table["clicks"].to_numpy().copy()
    clicks[3] = np.nan
    with pytest.raises(EvaluationError, match="'clicks': 1 values are NaN"):
        analyse(replace_column(table, "clicks", pa.array(clicks)), PLAN)


def test_a_number_that_no_sum_holds_is_named_with_its_column():
    table = requests(users=100)
    clicks = table["clicks"].to_numpy().astype(float)
    clicks[3] = 1e308
    with pytest.raises(EvaluationError, match="'clicks': 1 values are beyond 1e20"):
        analyse(replace_column(table, "clicks", pa.array(clicks)), PLAN)


def test_hostile_names_of_columns_and_arms_are_only_names():
    name = 'x"; DROP TABLE units; --'
    arm = "B'; DROP TABLE units; --"
    table = requests(users=400).rename_columns({"clicks": name, "surface": "a'b"})
    arms = pa.array([arm if value == "B" else value for value in table["variant"].to_pylist()])
    got = analyse(
        replace_column(table, "variant", arms),
        plan(
            candidate_variant=arm,
            metrics=[Metric(name="ctr", numerator=name)],
            guardrails={},
            slices=["a'b"],
        ),
    )
    assert got.sample_ratio.observed[arm] == 200
    assert len(got.metrics[0].slices) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"candidate_variant": "A"}, "are both 'A'"),
        ({"shares": {"A": 1.0}}, "arm 'B' has no declared share"),
        ({"shares": {"A": 1.0, "B": 0.0}}, "'B' must have a positive share"),
        ({"metrics": []}, "at least one metric"),
        ({"metrics": ["gmv"]}, "'gmv' is not one of"),
        ({"metrics": ["ctr", "ctr"]}, "given twice"),
        (
            {"metrics": [Metric(name="ctr", numerator="clicks", method="welch")]},
            "needs the denominator 'users'",
        ),
        ({"metrics": [Metric(name="ctr", numerator="clicks", winsorise=0.2)]}, "winsorise of 'ctr'"),
        ({"primary_metric": PrimaryMetric(name="gmv")}, "'gmv' is not among metrics"),
        ({"primary_metric": PrimaryMetric(name="ctr", minimum_effect=-1.0)}, "minimum_effect"),
        ({"primary_metric": PrimaryMetric(name="ctr", interval="cuped")}, "needs start"),
        ({"guardrails": {"p95": 0.1}}, "'p95' is none of"),
        ({"guardrails": {"error_rate": 0.0}}, "margin of 'error_rate'"),
        ({"level": 1.0}, "level 1.0"),
        ({"minimum_join_rate": 2.0}, "minimum_join_rate 2.0"),
    ],
)
def test_a_plan_that_contradicts_itself_is_refused_by_field(change, message):
    with pytest.raises(EvaluationError, match=message):
        check_plan(plan(**change))
